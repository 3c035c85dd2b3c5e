//! One end of a connection: a socket, its deadline, and TLS where there is any.
//!
//! Both halves of an exchange hold it by `&`: what they share is borrowed only between two waits.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::config;
use super::kernel::Kernel;
use super::ktls;
use super::lean::Lean;
use super::read::Pace;
use super::session::{Handshake, Session};
use crate::buf::Buf;
use crate::config::ListenAddress;
use crate::fault::{Cause, Fault, Side};
use crate::io::receive::{Posted, Poster};
use crate::io::socket::Socket;
use crate::limits::{BUF_BYTES, TUNNEL_SENDS};
use crate::stage::{Stage, Watch};

#[derive(Debug)]
pub struct Stream {
    pub(super) socket: Socket,
    pub watch: Watch,
    side: Side,
    /// Longest wait for the peer to take something.
    pub(super) send_limit: Cell<Duration>,
    pub(super) tls: Option<Box<RefCell<Tls>>>,
    pub(super) pace: Cell<Pace>,
    /// Bytes of plaintext that were taken for the peer.
    pub(super) sent: Cell<u64>,
    pub(super) poster: RefCell<Poster>,
    /// A receive that was posted before anybody waits for it: see [`Stream::listen`].
    pub(super) posted: RefCell<Option<Posted>>,
}

/// Invariant: `incoming` begins with what rustls has not consumed; `outgoing` is what the kernel
/// has not taken.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) layer: Layer,
    pub(super) incoming: Buf,
    pub(super) outgoing: Buf,
    /// The peer has sent close_notify; rustls says so once.
    pub(super) ended: bool,
}

/// Who encrypts. It goes from the session to the kernel (see [`Stream::hand_over`]) or, for a tunnel,
/// to what is left of a session after its handshake, never back.
#[derive(Debug)]
pub(super) enum Layer {
    Session(Box<Session>),
    Lean(Box<Lean>),
    /// `incoming` and `outgoing` are empty from here on.
    Kernel(Box<Kernel>),
    /// A hand-over failed half-way.
    Lost,
}

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Data,
    /// A clean end: close_notify, or the end of a plain stream.
    End,
    /// The TLS stream stopped without close_notify.
    Truncated,
}

impl Stream {
    pub fn new(socket: Socket, watch: Watch, side: Side, send_limit: Duration) -> Self {
        Self {
            socket,
            watch,
            side,
            send_limit: Cell::new(send_limit),
            tls: None,
            pace: Cell::default(),
            sent: Cell::default(),
            poster: RefCell::default(),
            posted: RefCell::default(),
        }
    }

    /// Begins TLS on a fresh connection.
    pub fn start_tls(&mut self, config: Arc<ServerConfig>) -> Result<(), Fault> {
        let session = Session::new(config).map_err(|error| self.fault(Cause::Tls(error)))?;
        let layer = Layer::Session(Box::new(session));
        let tls = Tls { layer, incoming: Buf::new(), outgoing: Buf::new(), ended: false };
        self.tls = Some(Box::new(RefCell::new(tls)));
        Ok(())
    }

    /// Longest wait for the peer to take something, from now on.
    pub fn set_send_limit(&self, limit: Duration) {
        self.send_limit.set(limit);
    }

    pub fn local_address(&self) -> io::Result<ListenAddress> {
        self.socket.local_address()
    }

    /// Bytes of plaintext that have been sent, or at least encrypted, since the connection began.
    pub fn sent(&self) -> u64 {
        self.sent.get()
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Completes the handshake within the step that the caller has entered. Plaintext that came
    /// with the last flight is in `plain`; `None` when the client left before its first byte.
    pub async fn handshake(&self, plain: &mut Buf) -> Result<Option<Handshake>, Fault> {
        let tls = self.tls.as_deref().expect("start_tls comes before handshake");
        let (mut first, mut server_name) = (true, None);
        loop {
            let input = match self.read_once(plain, || false).await {
                Err(Fault { cause: Cause::Closed, .. }) if first => return Ok(None),
                other => other?,
            };
            server_name = config::take_asked_name().or(server_name);
            if let Layer::Session(session) = &tls.borrow().layer
                && !session.is_handshaking()
            {
                return Ok(Some(session.agreed(server_name)));
            }
            match input {
                Some(Input::Truncated) if first => return Ok(None),
                Some(Input::End | Input::Truncated) => return Err(self.fault(Cause::Closed)),
                Some(Input::Data) | None => first = false,
            }
        }
    }

    /// Sends all of `data`, waiting whenever the peer does not take it. Mostly it takes it at once;
    /// waiting is put on the heap, so that connections that do not wait stay small.
    pub async fn write(&self, data: &[u8]) -> Result<(), Fault> {
        let (first, rest) = data.split_at(data.len().min(BUF_BYTES));
        let left = self.try_write(first)?;
        if left.is_none_or(|left| !left.is_empty()) || !rest.is_empty() {
            Box::pin(self.write_on(left, rest)).await?;
        }
        Ok(())
    }

    /// What is left of a plain write, then the remaining pieces.
    async fn write_on(&self, left: Option<&[u8]>, rest: &[u8]) -> Result<(), Fault> {
        self.write_left(left).await?;
        for piece in rest.chunks(BUF_BYTES) {
            let left = self.try_write(piece)?;
            self.write_left(left).await?;
        }
        Ok(())
    }

    async fn write_left(&self, mut left: Option<&[u8]>) -> Result<(), Fault> {
        while let Some(data) = left {
            if data.is_empty() {
                return Ok(());
            }
            self.writable().await?;
            left = self.try_write(data)?;
        }
        self.flush().await
    }

    /// Encrypts and sends as far as the kernel takes it. `Some`: the part of `piece` that is not
    /// sent, of a plain stream; `None`: ciphertext is waiting in `outgoing`.
    fn try_write<'d>(&self, piece: &'d [u8]) -> Result<Option<&'d [u8]>, Fault> {
        let Some(tls) = &self.tls else {
            return self.try_write_plain(piece).map(Some);
        };
        {
            let Tls { layer, incoming, outgoing, .. } = &mut *tls.borrow_mut();
            match layer {
                Layer::Session(session) => session
                    .send(incoming.data_mut(), piece, outgoing)
                    .map_err(|error| self.fault(Cause::Tls(error)))?,
                Layer::Lean(lean) => {
                    lean.send(piece, outgoing).map_err(|error| self.fault(Cause::Tls(error)))?;
                }
                Layer::Kernel(kernel) => return self.try_write_kernel(kernel, piece).map(Some),
                Layer::Lost => return Err(self.fault(ktls::lost())),
            }
        }
        self.count_sent(piece.len());
        Ok(self.try_flush()?.then_some(&[]))
    }

    fn try_write_kernel<'d>(
        &self,
        kernel: &mut Kernel,
        mut data: &'d [u8],
    ) -> Result<&'d [u8], Fault> {
        while !data.is_empty() {
            match kernel.try_send(&self.socket, data).map_err(|cause| self.sending(cause))? {
                Some(n) => {
                    self.count_sent(n);
                    data = &data[n..];
                }
                None => break,
            }
        }
        Ok(data)
    }

    fn try_write_plain<'d>(&self, mut data: &'d [u8]) -> Result<&'d [u8], Fault> {
        while !data.is_empty() {
            match self.socket.try_send(data).map_err(|error| self.send_fault(error))? {
                Some(n) => {
                    self.count_sent(n);
                    data = &data[n..];
                }
                None => break,
            }
        }
        Ok(data)
    }

    async fn write_plain(&self, mut data: &[u8]) -> Result<(), Fault> {
        loop {
            data = self.try_write_plain(data)?;
            if data.is_empty() {
                return Ok(());
            }
            self.writable().await?;
        }
    }

    /// What has come on a stream whose handshake has shown that the client speaks no TLS.
    pub fn take_plain(&self, into: &mut Buf) {
        if let Some(tls) = &self.tls {
            let incoming = &mut tls.borrow_mut().incoming;
            into.extend(incoming.data());
            incoming.clear();
        }
    }

    /// Sends `data` without TLS on a stream whose handshake has shown that the client speaks none.
    pub async fn write_past_tls(&self, data: &[u8]) -> Result<(), Fault> {
        self.write_plain(data).await
    }

    /// Sends several pieces in one call where the kernel takes them; plain streams only.
    pub async fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> Result<(), Fault> {
        let sent = self.socket.try_send_vectored(pieces).map_err(|error| self.send_fault(error))?;
        let mut skip = sent.unwrap_or(0);
        self.count_sent(skip);
        for piece in pieces {
            let left = piece.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(piece.len());
            if !left.is_empty() {
                Box::pin(self.write_plain(left)).await?;
            }
        }
        Ok(())
    }

    /// Sends what TLS has queued; true when all of it is gone.
    pub(super) fn try_flush(&self) -> Result<bool, Fault> {
        let Some(tls) = &self.tls else { return Ok(true) };
        let Tls { layer, outgoing, .. } = &mut *tls.borrow_mut();
        if let Layer::Kernel(kernel) = layer {
            return kernel.try_flush(&self.socket).map_err(|cause| self.sending(cause));
        }
        while !outgoing.is_empty() {
            match self.socket.try_send(outgoing.data()).map_err(|error| self.send_fault(error))? {
                Some(n) => outgoing.consume(n),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    pub(super) async fn flush(&self) -> Result<(), Fault> {
        while !self.try_flush()? {
            self.writable().await?;
        }
        Ok(())
    }

    /// Ends our direction: close_notify where there is TLS, then the end of the stream.
    pub async fn finish(&self) -> Result<(), Fault> {
        self.queue_close_notify();
        if !self.try_flush()? {
            Box::pin(self.flush()).await?;
        }
        if self.unsettled()? > 0 {
            Box::pin(self.settle()).await?;
        }
        self.socket.shutdown_write();
        Ok(())
    }

    fn queue_close_notify(&self) {
        let Some(tls) = &self.tls else { return };
        let Tls { layer, incoming, outgoing, .. } = &mut *tls.borrow_mut();
        match layer {
            Layer::Session(session) => session.send_close_notify(incoming.data_mut(), outgoing),
            Layer::Lean(lean) => lean.send_close_notify(outgoing),
            Layer::Kernel(kernel) => kernel.owe_close_notify(),
            Layer::Lost => {}
        }
    }

    /// Ends the connection without waiting for anything: a word of farewell where it fits, then the
    /// end of the stream.
    pub fn abandon(&self) {
        self.queue_close_notify();
        let _ = self.try_flush();
        self.socket.shutdown_write();
    }

    /// Makes the coming close a reset, so that a plain answer that was cut can't be taken for a
    /// whole one.
    pub fn reset_on_close(&self) {
        self.socket.reset_on_close();
    }

    /// True when the peer has gone: see [`Socket::peer_closed`].
    pub fn peer_closed(&self) -> bool {
        self.socket.peer_closed()
    }

    pub async fn writable(&self) -> Result<(), Fault> {
        let writable = pin!(self.socket.writable());
        match self.watch.stage() {
            // One deadline for the whole step, whichever direction it waits for.
            Stage::Handshake | Stage::Linger => self.watch.wait(writable).await.map(|_| ()),
            // An R process that computes for minutes does not read its WebSocket meanwhile.
            Stage::Tunnel if self.side == Side::Upstream => {
                self.watch.wait(writable).await.map(|_| ())
            }
            stage => {
                let sends = if stage == Stage::Tunnel { TUNNEL_SENDS } else { 1 };
                let watch = self.watch.beside();
                watch.enter(self.send_stage(), self.send_limit.get() * sends);
                watch.wait(writable).await.map(|_| ())
            }
        }
    }

    pub(super) fn send_stage(&self) -> Stage {
        match self.side {
            Side::Upstream => Stage::SendRequest,
            Side::Client | Side::Sheen => Stage::SendAnswer,
        }
    }

    fn send_fault(&self, error: io::Error) -> Fault {
        self.sending(Cause::Io(error))
    }

    pub(super) fn sending(&self, cause: Cause) -> Fault {
        Fault { stage: self.send_stage(), side: self.side, cause }
    }

    pub(super) fn fault(&self, cause: Cause) -> Fault {
        Fault { stage: self.watch.stage(), side: self.side, cause }
    }
}
