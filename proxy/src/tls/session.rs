//! A TLS server session as bytes in, bytes out: no socket, no clock.
//!
//! The only file that knows rustls's unbuffered API (rustls 0.24 replaces it). Ciphertext is decrypted where it was
//! received; everything to send is appended to one buffer, so that a flight of handshake messages or several records
//! leave in one system call.

use std::fmt;
use std::sync::Arc;

use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ServerConfig};

use crate::buf::Buf;

/// What [`Session::receive`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the input that are done with; the rest is the beginning of a record.
    pub consumed: usize,
    /// The peer has sent close_notify: nothing follows.
    pub end: bool,
}

/// One connection's TLS state: about 3.5 KiB, no buffers.
pub struct Session {
    rustls: UnbufferedServerConnection,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.protocol())
    }
}

impl Session {
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self { rustls: UnbufferedServerConnection::new(config)? })
    }

    pub fn is_handshaking(&self) -> bool {
        self.rustls.is_handshaking()
    }

    /// "TLSv1.3", as nginx's `$ssl_protocol` has it.
    pub fn protocol(&self) -> &'static str {
        match self.rustls.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "-",
        }
    }

    /// Processes `input`: plaintext is appended to `plain`, ciphertext to send to `out`.
    ///
    /// On an error, `out` holds the alert for the peer.
    pub fn receive(
        &mut self,
        input: &mut [u8],
        plain: &mut Buf,
        out: &mut Buf,
    ) -> Result<Received, Error> {
        let mut consumed = 0;
        let mut end = false;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.rustls.process_tls_records(&mut input[consumed..]);
            let more = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        plain.extend(record.payload);
                    }
                    true
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(out, |space| data.encode(space));
                    true
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    true
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    end = true;
                    false
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => false,
                // Early data is off, and the enum may grow: nothing we asked for.
                Ok(_) => false,
                Err(error) => {
                    self.collect_alert(&mut input[consumed..], out);
                    return Err(error);
                }
            };
            consumed += discard;
            if !more {
                return Ok(Received { consumed, end });
            }
        }
    }

    /// Encrypts all of `plain` into records appended to `out`.
    ///
    /// `rest` is what [`Session::receive`] left unconsumed. rustls remembers places in it while a handshake message
    /// is incomplete, and panics when it is given less: a peer that sends half a KeyUpdate could do that to us.
    pub fn send(&mut self, rest: &mut [u8], plain: &[u8], out: &mut Buf) -> Result<(), Error> {
        loop {
            let UnbufferedStatus { state, .. } = self.rustls.process_tls_records(rest);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let room = plain.len() + RECORD_OVERHEAD * (plain.len() / RECORD_BYTES + 1);
                    let written = match traffic.encrypt(plain, out.space(room)) {
                        Ok(written) => written,
                        Err(EncryptError::InsufficientSize(size)) => traffic
                            .encrypt(plain, out.space(size.required_size))
                            .map_err(|_| Error::EncryptError)?,
                        Err(EncryptError::EncryptExhausted) => return Err(Error::EncryptError),
                    };
                    out.filled(written);
                    return Ok(());
                }
                // A key update of our own, or an answer to the peer's, goes first.
                ConnectionState::EncodeTlsData(mut data) => encode(out, |space| data.encode(space)),
                ConnectionState::TransmitTlsData(data) => data.done(),
                // The peer has closed its side; ours still writes.
                ConnectionState::PeerClosed => {}
                _ => return Err(Error::HandshakeNotComplete),
            }
        }
    }

    /// Appends close_notify to `out`, once the handshake allows it. `rest` as for [`Session::send`].
    pub fn send_close_notify(&mut self, rest: &mut [u8], out: &mut Buf) {
        loop {
            let UnbufferedStatus { state, .. } = self.rustls.process_tls_records(rest);
            match state {
                Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                    if let Ok(written) = traffic.queue_close_notify(out.space(ALERT_ROOM)) {
                        out.filled(written);
                    }
                    return;
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(out, |space| data.encode(space));
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// After a failure rustls still hands out the alert that tells the peer.
    fn collect_alert(&mut self, rest: &mut [u8], out: &mut Buf) {
        loop {
            let UnbufferedStatus { state, .. } = self.rustls.process_tls_records(rest);
            match state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    encode(out, |space| data.encode(space));
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// Appends one handshake message; asks again with the room it wants.
fn encode(out: &mut Buf, mut into: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>) {
    let mut room = HANDSHAKE_ROOM;
    loop {
        match into(out.space(room)) {
            Ok(written) => return out.filled(written),
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                room = required_size;
            }
            Err(EncodeError::AlreadyEncoded) => return,
        }
    }
}

/// Largest fragment of a record, RFC 8446 section 5.1.
const RECORD_BYTES: usize = 16384;
/// Header 5, explicit nonce 8 (TLS 1.2), content type 1 (TLS 1.3), tag 16; rounded up.
const RECORD_OVERHEAD: usize = 32;
const ALERT_ROOM: usize = 64;
/// First guess for a handshake message.
const HANDSHAKE_ROOM: usize = 4096;
