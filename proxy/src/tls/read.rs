//! Reading from a stream: waiting for bytes, receiving them, decrypting them.
//!
//! A connection waits in one of two ways. Most wait for *readiness*, which holds no buffer, and then
//! receive: a thousand silent WebSockets cost nothing. A client that sends request after request, and a
//! pooled upstream connection, have a buffer in the ring and wait for the *data*: that saves the
//! receive's system call, and for the pool the question whether the app is still there. When nothing
//! has come for a tick the buffer is taken back. (Tunnels gain nothing by it: measured.)

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::config;
use super::ktls;
use super::session::Received;
use super::stream::{Input, Layer, Stream, Tls};
use crate::buf::Buf;
use crate::fault::{Cause, Fault};
use crate::io::receive::{Posted, is_cancelled, may_post};
use crate::limits::{BUF_BYTES, LINGER_BYTES_MAX, RECORD_BUF_BYTES};
use crate::stage::Stage;

/// How fast bytes have come lately, which decides the way to wait for the next ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pace {
    /// The last wait was a tick or longer.
    #[default]
    Idle,
    /// Small pieces in quick succession.
    Busy,
    /// More than one record at a time: large buffers and few receives.
    Bulk,
}

/// What one receive came to.
#[derive(Debug)]
enum Arrival {
    Data,
    End,
    /// Not yet; wait again.
    Nothing,
}

impl Stream {
    /// Waits for at least one byte of plaintext, or the end, within the step that the caller has
    /// entered.
    pub async fn read(&self, plain: &mut Buf) -> Result<Input, Fault> {
        self.read_unless(plain, || false).await
    }

    /// As [`Stream::read`], for an upstream; once a tick `gone` is asked whether the client has
    /// left.
    pub async fn read_unless(
        &self,
        plain: &mut Buf,
        gone: impl Fn() -> bool + Unpin,
    ) -> Result<Input, Fault> {
        loop {
            if let Some(input) = self.read_once(plain, &gone).await? {
                return Ok(input);
            }
        }
    }

    /// One wait and one receive. `None`: bytes came, but no plaintext.
    pub(super) async fn read_once(
        &self,
        plain: &mut Buf,
        gone: impl Fn() -> bool + Unpin,
    ) -> Result<Option<Input>, Fault> {
        if self.tls.as_ref().is_some_and(|tls| tls.borrow().ended) {
            return Ok(Some(Input::End));
        }
        let again = self.watch.stage() == Stage::KeepAlive && self.pace.get() == Pace::Busy;
        if again && self.posted.borrow().is_none() {
            self.posted.replace(self.post(plain));
        }
        let posted = self.posted.borrow().is_some();
        let arrived = if posted {
            Some(self.take_posted(gone).await?)
        } else {
            self.await_readiness(gone).await?;
            None
        };
        let Some(tls) = &self.tls else {
            return Ok(match self.arrive(plain, arrived)? {
                Arrival::Data => Some(Input::Data),
                Arrival::End => Some(Input::End),
                Arrival::Nothing => None,
            });
        };
        let (input, owes) = self.arrive_encrypted(tls, plain, arrived)?;
        if owes && !self.try_flush()? {
            Box::pin(self.flush()).await?;
        }
        Ok(input)
    }

    async fn await_readiness(&self, gone: impl Fn() -> bool + Unpin) -> Result<(), Fault> {
        if self.pace.get() == Pace::Bulk {
            // More is there already, as a rule: two system calls saved for one that may be in vain.
            return self.watch.interrupted();
        }
        let swept = self.watch.sweeps();
        // An error of the readiness itself shows again, in words, at the receive that follows.
        let _ = self.watch.wait_unless(pin!(self.socket.readable()), gone).await?;
        let quick = self.watch.sweeps() == swept;
        self.pace.set(if quick { Pace::Busy } else { Pace::Idle });
        Ok(())
    }

    /// Posts a receive, unless there is the beginning of a record or of a head which the new bytes
    /// must follow.
    fn post(&self, plain: &Buf) -> Option<Posted> {
        let empty = match &self.tls {
            // The ring's receive has no room for the type of a record that the kernel decrypts.
            Some(tls) => {
                let Tls { layer, incoming, .. } = &*tls.borrow();
                matches!(layer, Layer::Session(_)) && incoming.is_empty()
            }
            None => plain.is_empty(),
        };
        (empty && may_post())
            .then(|| self.poster.borrow_mut().post(&self.socket, Buf::for_record()))
    }

    /// Waits for the posted receive; after a tick in vain it is taken back.
    async fn take_posted(
        &self,
        gone: impl Fn() -> bool + Unpin,
    ) -> Result<(io::Result<usize>, Buf), Fault> {
        let swept = self.watch.sweeps();
        let probing = self.watch.set_probing(true);
        let outcome = poll_fn(|context| {
            let outcome = match &mut *self.posted.borrow_mut() {
                Some(posted) => posted.poll(context),
                None => Poll::Pending,
            };
            if outcome.is_pending() && self.watch.sweeps().wrapping_sub(swept) > 1 {
                self.pace.set(Pace::Idle);
                self.poster.borrow_mut().cancel();
            }
            outcome
        });
        let outcome = self.watch.wait_unless(pin!(outcome), gone).await?;
        self.watch.set_probing(probing);
        self.posted.take();
        Ok(outcome)
    }

    /// Receives behind what `into` holds, unless the ring has done it already.
    fn arrive(
        &self,
        into: &mut Buf,
        arrived: Option<(io::Result<usize>, Buf)>,
    ) -> Result<Arrival, Fault> {
        let (received, room) = match arrived {
            Some((received, buf)) => {
                debug_assert!(into.is_empty(), "nothing came in between");
                *into = buf;
                let cancelled = received.as_ref().is_err_and(is_cancelled);
                (if cancelled { Ok(None) } else { received.map(Some) }, RECORD_BUF_BYTES)
            }
            None => {
                let want = match self.pace.get() {
                    Pace::Bulk => BUF_BYTES.saturating_sub(into.len()).max(RECORD_BUF_BYTES),
                    Pace::Idle | Pace::Busy => RECORD_BUF_BYTES,
                };
                let space = into.space(want);
                let room = space.len().min(BUF_BYTES);
                let received = self.socket.try_recv(&mut space[..room]);
                if let Ok(Some(n)) = received {
                    into.filled(n);
                }
                (received, room)
            }
        };
        if into.is_empty() {
            into.clear();
        }
        match received {
            Ok(Some(0)) => Ok(Arrival::End),
            Ok(Some(n)) => {
                if n >= room {
                    self.pace.set(Pace::Bulk);
                } else if self.pace.get() == Pace::Bulk {
                    self.pace.set(Pace::Busy);
                }
                Ok(Arrival::Data)
            }
            Ok(None) => {
                if self.pace.get() == Pace::Bulk {
                    self.pace.set(Pace::Busy);
                }
                Ok(Arrival::Nothing)
            }
            Err(error) => Err(self.fault(Cause::Io(error))),
        }
    }

    /// As [`Stream::arrive`], then decrypts; true when something must be sent.
    fn arrive_encrypted(
        &self,
        tls: &RefCell<Tls>,
        plain: &mut Buf,
        arrived: Option<(io::Result<usize>, Buf)>,
    ) -> Result<(Option<Input>, bool), Fault> {
        let tls = &mut *tls.borrow_mut();
        if let Layer::Kernel(kernel) = &mut tls.layer {
            let input = kernel.receive(&self.socket, plain, Instant::now());
            if self.pace.get() == Pace::Bulk {
                self.pace.set(Pace::Busy);
            }
            return Ok((input.map_err(|cause| self.fault(cause))?, kernel.owes()));
        }
        let before = plain.len();
        let input = match self.arrive(&mut tls.incoming, arrived)? {
            Arrival::Data => self.decrypt(tls, plain, before)?,
            Arrival::End => Some(Input::Truncated),
            Arrival::Nothing => None,
        };
        Ok((input, !tls.outgoing.is_empty()))
    }

    fn decrypt(
        &self,
        tls: &mut Tls,
        plain: &mut Buf,
        before: usize,
    ) -> Result<Option<Input>, Fault> {
        let Tls { layer, incoming, outgoing, .. } = tls;
        let session = match layer {
            Layer::Session(session) => session,
            Layer::Lean(lean) => {
                let received = lean.receive(incoming.data(), plain, outgoing);
                return self.decrypted(received.map_err(Cause::Tls), tls, plain.len() > before);
            }
            Layer::Kernel(_) | Layer::Lost => return Err(self.fault(ktls::lost())),
        };
        if session.is_handshaking() && looks_like_http(incoming.data()) {
            return Err(self.fault(Cause::PlainOnTls));
        }
        // A handshake that failed on this worker may have left its name behind.
        if session.is_handshaking() {
            config::take_asked_name();
        }
        let received = session.receive(incoming.data_mut(), plain, outgoing).map_err(|error| {
            if !config::take_turned_away() {
                return Cause::Tls(error);
            }
            if let [.., description] = outgoing.data_mut() {
                // rustls has but one word for a missing certificate.
                *description = UNRECOGNIZED_NAME;
            }
            Cause::NameRejected
        });
        self.decrypted(received, tls, plain.len() > before)
    }

    /// What decrypting came to. `any`: there is plaintext that was not there before.
    fn decrypted(
        &self,
        received: Result<Received, Cause>,
        tls: &mut Tls,
        any: bool,
    ) -> Result<Option<Input>, Fault> {
        let Tls { incoming, outgoing, ended, .. } = tls;
        let received = match received {
            Ok(received) => received,
            Err(cause) => {
                // The alert is worth one try; a peer that does not take it gets none.
                let _ = self.socket.try_send(outgoing.data());
                outgoing.clear();
                incoming.clear();
                return Err(self.fault(cause));
            }
        };
        incoming.consume(received.consumed);
        *ended = received.end;
        if incoming.len() >= INCOMING_BYTES_MAX {
            return Err(self.fault(Cause::Tls(rustls::Error::PeerSentOversizedRecord)));
        }
        Ok(if any {
            Some(Input::Data)
        } else if received.end {
            Some(Input::End)
        } else {
            None
        })
    }

    /// Reads and throws away what the peer still sends, until it is done or the bound is reached:
    /// closing a socket with unread input would reset it, and the peer would lose our last answer.
    pub async fn linger(&self) {
        let mut thrown = 0;
        let mut bin = Buf::new();
        while thrown < LINGER_BYTES_MAX {
            if self.watch.wait(pin!(self.socket.readable())).await.is_err() {
                return;
            }
            // What the kernel decrypts comes the same way, its control records as errors.
            match self.arrive(&mut bin, None) {
                Ok(Arrival::Data) => thrown += bin.len() as u64,
                Ok(Arrival::Nothing) => {}
                Ok(Arrival::End) | Err(_) => return,
            }
            bin.clear();
        }
    }

    /// Throws away what has come; true when that was anything.
    pub fn throw_away(&self) -> bool {
        matches!(self.arrive(&mut Buf::new(), None), Ok(Arrival::Data))
    }

    /// Lets go of what an exchange needs; a tunnel, idle as a rule, does without. That includes what
    /// rustls keeps, if it owes the client nothing: see [`super::lean`].
    ///
    /// Errors leave a connection that can only be closed.
    pub fn rest(&self) -> Result<(), Fault> {
        self.watch.set_probing(false);
        self.poster.take();
        let Some(tls) = &self.tls else { return Ok(()) };
        let Tls { layer, incoming, ended, .. } = &mut *tls.borrow_mut();
        let may_leave = matches!(layer, Layer::Session(session) if session.may_leave());
        if may_leave
            && incoming.is_empty()
            && !*ended
            && let Layer::Session(session) = mem::replace(layer, Layer::Lost)
        {
            let lean = session.into_lean().map_err(|error| self.fault(Cause::Tls(error)))?;
            *layer = Layer::Lean(Box::new(lean));
        }
        Ok(())
    }

    /// Lets an idle upstream connection listen: what comes next is its next answer, or its end.
    pub fn listen(&self) {
        self.watch.set_probing(false);
        if self.pace.get() != Pace::Idle && self.posted.borrow().is_none() {
            self.posted.replace(self.post(&Buf::new()));
        }
    }

    /// True when nobody has closed an idle upstream connection or sent anything on it. While it
    /// listens, what has come since this worker last entered the ring is seen only when `surely`
    /// asks the kernel, which costs a system call.
    pub fn is_silent(&self, surely: bool) -> bool {
        let listening = match &mut *self.posted.borrow_mut() {
            Some(posted) => {
                let outcome = posted.poll(&mut Context::from_waker(Waker::noop()));
                if outcome.is_ready() {
                    return false;
                }
                true
            }
            None => false,
        };
        listening && !surely || !self.socket.has_input()
    }
}

/// True when the first bytes of a connection are a request line and not a TLS record.
fn looks_like_http(first: &[u8]) -> bool {
    first.len() >= 4 && first[..4].iter().all(|b| b.is_ascii_uppercase() || *b == b' ')
}

/// The last byte of a plain alert: RFC 6066 section 3.
const UNRECOGNIZED_NAME: u8 = 112;
/// Unconsumed ciphertext beyond this can't be a record or a handshake message that rustls accepts
/// (64 KiB).
const INCOMING_BYTES_MAX: usize = 128 << 10;
