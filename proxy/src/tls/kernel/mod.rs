//! A connection whose records the kernel encrypts and decrypts: what is left to us are the records
//! that are not data, the keys, and the count of what went out.
//!
//! ```text
//!                        control record from the client
//!   alert close_notify ------------------------------> ended: reads say so from now on
//!   alert, fatal ------------------------------------> fault
//!   KeyUpdate --- this kernel re-keys ---------------> new receive key; our own, if asked for, owed
//!             '-- it does not, or too many ----------> close_notify, fault
//!   renegotiation (TLS 1.2) -------------------------> warning no_renegotiation
//!   anything else -----------------------------------> fatal alert, fault
//! ```
//! What is owed (a KeyUpdate, close_notify) goes out before any more data does.

use std::fmt;
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{AlertDescription, ConnectionTrafficSecrets, Error, ExtractedSecrets, PeerMisbehaved};

use self::nonces::fresh_nonces;
use super::records::{
    ALERT, BAD_RECORD_MAC, CLIENT_HELLO, CLOSE_NOTIFY, DATA, FATAL, HANDSHAKE, KEY_UPDATE,
    KEY_UPDATE_BYTES, NO_RENEGOTIATION, RECORD_OVERFLOW, UNEXPECTED_MESSAGE, USER_CANCELED,
    WARNING,
};
use super::stream::Input;
use crate::buf::Buf;
use crate::fault::Cause;
use crate::io::ktls::Incoming;
use crate::limits::{
    BUF_BYTES, KEY_UPDATES_PER_MINUTE_MAX, RECORD_BUF_BYTES, RECORDS_LEFT_MIN,
    SENDS_PER_RECORD_COUNT, WARNING_ALERTS_MAX,
};

pub(in crate::tls) use self::suite::{Cipher, Suite};

mod nonces;
mod suite;
#[cfg(test)]
mod tests;

/// The socket as this state needs it: the kernel's, and a double in the tests.
pub(super) trait Wire {
    fn receive(&self, into: &mut [u8]) -> io::Result<Option<Incoming>>;
    fn send(&self, data: &[u8]) -> io::Result<Option<usize>>;
    /// False: not now.
    fn send_record(&self, kind: u8, payload: &[u8]) -> io::Result<bool>;
    fn install(&self, suite: &Suite, keys: Keys) -> io::Result<()>;
    /// The number of the next record under the present key.
    fn next_record(&self, suite: &Suite) -> io::Result<u64>;
    /// Bytes given to TCP so far, but for a constant.
    fn bytes_queued(&self) -> io::Result<u64>;
}

/// Keys for one direction, and the number of the first record under them.
pub(super) enum Keys {
    Send(u64, ConnectionTrafficSecrets),
    Receive(u64, ConnectionTrafficSecrets),
}

/// See the module's picture.
pub(super) struct Kernel {
    rustls: KernelConnection<ServerConnectionData>,
    suite: Suite,
    /// True exactly when this kernel takes new keys for a running connection.
    rekeys: bool,
    owed: Owed,
    /// The client has sent close_notify.
    ended: bool,
    /// Ours was sent, or is owed.
    closing: bool,
    key_updates: KeyUpdates,
    warnings: u8,
    sent: Sent,
}

/// What must go out before more data.
#[derive(Debug, Default, Clone, Copy)]
struct Owed {
    key_update: bool,
    close_notify: bool,
}

/// Key updates of the client in the running minute.
#[derive(Debug)]
struct KeyUpdates {
    since: Instant,
    count: u32,
}

/// What went out since the hand-over.
#[derive(Debug)]
struct Sent {
    plain_bytes: u64,
    /// Records under keys that are no longer in use.
    records_before: u64,
    /// Number of the first record that we count under the present key.
    first_record: u64,
    /// What TCP had been given at the hand-over.
    queued_before: u64,
    sends: u32,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({:?}, owed {:?}, sent {:?})", self.suite, self.owed, self.sent)
    }
}

impl Kernel {
    /// Gives the keys to the kernel, for sending and for receiving.
    ///
    /// Errors leave a socket that is of no use.
    pub(super) fn install(
        wire: &impl Wire,
        rustls: KernelConnection<ServerConnectionData>,
        secrets: ExtractedSecrets,
        rekeys: bool,
        now: Instant,
    ) -> io::Result<Self> {
        let suite = Suite::of(rustls.negotiated_cipher_suite())
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
        let queued_before = wire.bytes_queued()?;
        let (first_record, send) = secrets.tx;
        let send = if suite.tls13 { send } else { fresh_nonces(send) };
        wire.install(&suite, Keys::Send(first_record, send))?;
        wire.install(&suite, Keys::Receive(secrets.rx.0, secrets.rx.1))?;
        Ok(Self {
            rustls,
            suite,
            rekeys,
            owed: Owed::default(),
            ended: false,
            closing: false,
            key_updates: KeyUpdates { since: now, count: 0 },
            warnings: 0,
            sent: Sent { plain_bytes: 0, records_before: 0, first_record, queued_before, sends: 0 },
        })
    }

    /// One receive: data is appended to `plain`; `None`: nothing came that the caller sees.
    pub(super) fn receive(
        &mut self,
        wire: &impl Wire,
        plain: &mut Buf,
        now: Instant,
    ) -> Result<Option<Input>, Cause> {
        if self.ended {
            return Ok(Some(Input::End));
        }
        let space = plain.space(RECORD_BUF_BYTES);
        let room = space.len().min(BUF_BYTES);
        let received = wire.receive(&mut space[..room]);
        if let Ok(Some(Incoming::Record { kind: DATA, len })) = received {
            plain.filled(len);
            return Ok((len > 0).then_some(Input::Data));
        }
        let mut start = [0; KEY_UPDATE_BYTES];
        start.copy_from_slice(&space[..KEY_UPDATE_BYTES]);
        if plain.is_empty() {
            plain.clear();
        }
        match received {
            Ok(None) => Ok(None),
            Ok(Some(Incoming::End)) => Ok(Some(Input::Truncated)),
            Ok(Some(Incoming::Record { kind, len })) => {
                self.control(wire, kind, &start[..len.min(KEY_UPDATE_BYTES)], len, now)
            }
            Err(error) => Err(self.receive_fault(wire, error)),
        }
    }

    fn receive_fault(&self, wire: &impl Wire, error: io::Error) -> Cause {
        match error.raw_os_error() {
            Some(libc::EBADMSG) => refuse(wire, BAD_RECORD_MAC, Error::DecryptError),
            Some(libc::EMSGSIZE) => refuse(wire, RECORD_OVERFLOW, Error::PeerSentOversizedRecord),
            Some(libc::EINVAL) => refuse(wire, UNEXPECTED_MESSAGE, unexpected()),
            _ => Cause::Io(error),
        }
    }

    /// A record that is not data: how it begins, and how long it is.
    fn control(
        &mut self,
        wire: &impl Wire,
        kind: u8,
        start: &[u8],
        len: usize,
        now: Instant,
    ) -> Result<Option<Input>, Cause> {
        match (kind, start) {
            (ALERT, &[_, CLOSE_NOTIFY]) => {
                self.ended = true;
                Ok(Some(Input::End))
            }
            // TLS 1.3 has no other warning than user_canceled; 1.2 says itself which are.
            (ALERT, &[level, description])
                if description == USER_CANCELED || !self.suite.tls13 && level == WARNING =>
            {
                self.warn(wire).map(|()| None)
            }
            (ALERT, &[_, description]) => {
                let description = AlertDescription::from(description);
                Err(Cause::Tls(Error::AlertReceived(description)))
            }
            (HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, asked @ (0 | 1)])
                if self.suite.tls13 && len == KEY_UPDATE_BYTES =>
            {
                self.client_renews(wire, asked == 1, now).map(|()| None)
            }
            (HANDSHAKE, &[CLIENT_HELLO, ..]) if !self.suite.tls13 => {
                self.warn(wire)?;
                // A client that does not take it gets none: it has its answer at the next one.
                let answer = [WARNING, NO_RENEGOTIATION];
                if let Ok(true) = wire.send_record(ALERT, &answer) {
                    self.count(answer.len());
                }
                Ok(None)
            }
            _ => Err(refuse(wire, UNEXPECTED_MESSAGE, unexpected())),
        }
    }

    fn warn(&mut self, wire: &impl Wire) -> Result<(), Cause> {
        self.warnings += 1;
        match self.warnings > WARNING_ALERTS_MAX {
            true => Err(refuse(wire, UNEXPECTED_MESSAGE, unexpected())),
            false => Ok(()),
        }
    }

    /// The client sends under its next key from now on (RFC 8446 section 4.6.3).
    fn client_renews(
        &mut self,
        wire: &impl Wire,
        asked_for_ours: bool,
        now: Instant,
    ) -> Result<(), Cause> {
        if !self.rekeys {
            self.owe_close_notify();
            let _ = self.try_flush(wire);
            return Err(Cause::Tls(Error::General(NO_REKEYING.into())));
        }
        if !self.key_updates.allow(now) {
            let error = PeerMisbehaved::TooManyKeyUpdateRequests.into();
            return Err(refuse(wire, UNEXPECTED_MESSAGE, error));
        }
        let (record, secrets) = self.rustls.update_rx_secret().map_err(Cause::Tls)?;
        wire.install(&self.suite, Keys::Receive(record, secrets)).map_err(Cause::Io)?;
        self.owed.key_update |= asked_for_ours;
        Ok(())
    }

    /// True when something must go out before more data.
    pub(super) fn owes(&self) -> bool {
        self.owed.key_update || self.owed.close_notify
    }

    /// Sends what is owed; true when all of it is gone.
    pub(super) fn try_flush(&mut self, wire: &impl Wire) -> Result<bool, Cause> {
        if self.owed.key_update {
            let message = [KEY_UPDATE, 0, 0, 1, 0];
            if !wire.send_record(HANDSHAKE, &message).map_err(Cause::Io)? {
                return Ok(false);
            }
            self.owed.key_update = false;
            self.count(message.len());
            let next = wire.next_record(&self.suite).map_err(Cause::Io)?;
            self.sent.records_before += next - self.sent.first_record;
            let (record, secrets) = self.rustls.update_tx_secret().map_err(Cause::Tls)?;
            wire.install(&self.suite, Keys::Send(record, secrets)).map_err(Cause::Io)?;
            self.sent.first_record = record;
        }
        if self.owed.close_notify {
            let message = [WARNING, CLOSE_NOTIFY];
            if !wire.send_record(ALERT, &message).map_err(Cause::Io)? {
                return Ok(false);
            }
            self.owed.close_notify = false;
            self.count(message.len());
        }
        Ok(true)
    }

    /// What the kernel takes of `data`; `None` when it takes none now.
    pub(super) fn try_send(
        &mut self,
        wire: &impl Wire,
        data: &[u8],
    ) -> Result<Option<usize>, Cause> {
        if !self.may_send(wire)? {
            return Ok(None);
        }
        let sent = wire.send(data).map_err(Cause::Io)?;
        self.count(sent.unwrap_or(0));
        Ok(sent)
    }

    /// Asked before every send: pays what is owed, and sees to it that no key is worn out.
    pub(super) fn may_send(&mut self, wire: &impl Wire) -> Result<bool, Cause> {
        self.sent.sends += 1;
        if self.sent.sends >= SENDS_PER_RECORD_COUNT {
            self.sent.sends = 0;
            let next = wire.next_record(&self.suite).map_err(Cause::Io)?;
            if next.saturating_add(RECORDS_LEFT_MIN) >= self.suite.limit {
                if !(self.suite.tls13 && self.rekeys) {
                    return Err(Cause::Tls(Error::EncryptError));
                }
                self.owed.key_update = true;
            }
        }
        self.try_flush(wire)
    }

    /// `bytes` of plaintext have gone out.
    pub(super) fn count(&mut self, bytes: usize) {
        self.sent.plain_bytes += bytes as u64;
    }

    /// Makes close_notify the last record we send.
    pub(super) fn owe_close_notify(&mut self) {
        self.owed.close_notify |= !mem::replace(&mut self.closing, true);
    }

    /// Bytes that the kernel has taken and not given to TCP. While the client reads slowly it keeps
    /// a record or two back, and it forgets them when our direction ends.
    pub(super) fn unsettled(&self, wire: &impl Wire) -> io::Result<u64> {
        let sent = &self.sent;
        let under_this_key = wire.next_record(&self.suite)? - sent.first_record;
        let records = sent.records_before + under_this_key;
        let bytes = sent.plain_bytes + records * self.suite.overhead();
        Ok(bytes.saturating_sub(wire.bytes_queued()? - sent.queued_before))
    }
}

impl KeyUpdates {
    fn allow(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(60) {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count <= KEY_UPDATES_PER_MINUTE_MAX
    }
}

/// Tells the client, if it can still be told, and makes the fault.
fn refuse(wire: &impl Wire, description: u8, error: Error) -> Cause {
    let _ = wire.send_record(ALERT, &[FATAL, description]);
    Cause::Tls(error)
}

fn unexpected() -> Error {
    Error::General("the client sent a TLS record that has no place here".into())
}

const NO_REKEYING: &str =
    "the client has renewed its keys, and this kernel can't follow (Linux 6.14 can)";
