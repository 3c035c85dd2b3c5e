//! A TLS server session as bytes in, bytes out: no socket, no clock.
//!
//! The only file that knows rustls's unbuffered API (rustls 0.24 replaces it). Ciphertext is
//! decrypted where it was received; everything to send is appended to one buffer, so that a flight
//! of handshake messages or several records leave in one system call.

use std::fmt;
use std::sync::Arc;

use rustls::kernel::KernelConnection;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{Error, ExtractedSecrets, HandshakeKind, ServerConfig, SupportedCipherSuite};

use super::lean::Lean;
use super::names;
use super::records::{CHANGE_CIPHER_SPEC, HANDSHAKE};
use crate::buf::Buf;
use crate::limits::RECORD_BYTES_MAX;

/// What [`Session::receive`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the input that are done with; the rest is the beginning of a record.
    pub consumed: usize,
    /// The peer has sent close_notify: nothing follows.
    pub end: bool,
}

/// What a handshake came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// Lower case, as rustls gives it.
    pub server_name: Option<Box<str>>,
    pub protocol: &'static str,
    /// The names that OpenSSL has for them; empty where there is none.
    pub cipher: &'static str,
    pub curve: &'static str,
    pub alpn: &'static str,
    /// By a ticket.
    pub resumed: bool,
}

/// One connection's TLS state: about 3.5 KiB, no buffers.
pub struct Session {
    rustls: UnbufferedServerConnection,
    /// The configuration lets the keys out.
    extractable: bool,
    /// True exactly when nothing was received since data was last sent. After a KeyUpdate rustls
    /// keeps its own, already encrypted, until data is sent, and does not say so.
    answered: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.protocol())
    }
}

impl Session {
    pub fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        let extractable = config.enable_secret_extraction;
        let rustls = UnbufferedServerConnection::new(config)?;
        Ok(Self { rustls, extractable, answered: false })
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

    /// What the handshake came to.
    pub fn agreed(&self, server_name: Option<Box<str>>) -> Handshake {
        let suite = self.suite().map(|suite| suite.suite());
        let group = self.rustls.negotiated_key_exchange_group().map(|group| group.name());
        Handshake {
            server_name,
            protocol: self.protocol(),
            cipher: suite.map_or("", names::cipher),
            curve: group.map_or("", names::curve),
            alpn: match self.rustls.alpn_protocol() {
                Some(b"http/1.1") => "http/1.1",
                Some(b"http/1.0") => "http/1.0",
                _ => "",
            },
            resumed: self.rustls.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    pub fn suite(&self) -> Option<SupportedCipherSuite> {
        self.rustls.negotiated_cipher_suite()
    }

    /// True when rustls owes the peer nothing and may give its keys away.
    pub fn may_leave(&self) -> bool {
        self.extractable && self.answered && !self.is_handshaking()
    }

    /// Goes on without rustls's connection; only when [`Session::may_leave`] allows it.
    pub fn into_lean(self) -> Result<Lean, Error> {
        let (secrets, rustls) = self.into_kernel()?;
        Lean::new(secrets, rustls)
    }

    /// The keys, and what is needed to make the next ones.
    pub fn into_kernel(
        self,
    ) -> Result<(ExtractedSecrets, KernelConnection<ServerConnectionData>), Error> {
        self.rustls.dangerous_into_kernel_connection()
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
            self.answered = false;
            if !more {
                return Ok(Received { consumed, end });
            }
        }
    }

    /// Encrypts all of `plain` into records appended to `out`.
    ///
    /// `rest` is what [`Session::receive`] left unconsumed. rustls remembers places in it while a
    /// handshake message is incomplete, and panics when it is given less: a peer that sends half a
    /// KeyUpdate could do that to us.
    pub fn send(&mut self, rest: &mut [u8], plain: &[u8], out: &mut Buf) -> Result<(), Error> {
        loop {
            let UnbufferedStatus { state, .. } = self.rustls.process_tls_records(rest);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let room = plain.len() + RECORD_OVERHEAD * (plain.len() / RECORD_BYTES_MAX + 1);
                    let written = match traffic.encrypt(plain, out.space(room)) {
                        Ok(written) => written,
                        Err(EncryptError::InsufficientSize(size)) => traffic
                            .encrypt(plain, out.space(size.required_size))
                            .map_err(|_| Error::EncryptError)?,
                        Err(EncryptError::EncryptExhausted) => return Err(Error::EncryptError),
                    };
                    out.filled(written);
                    self.answered |= !plain.is_empty();
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

    /// Appends close_notify to `out`, once the handshake allows it. `rest` as for
    /// [`Session::send`].
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

    /// After a failure rustls still hands out what it had queued, the alert last. It must not be
    /// asked for more: it would go through the input again, and fail again.
    fn collect_alert(&mut self, rest: &mut [u8], out: &mut Buf) {
        loop {
            let before = out.len();
            let UnbufferedStatus { state, .. } = self.rustls.process_tls_records(rest);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            encode(out, |space| data.encode(space));
            let record_type = out.data().get(before);
            if !matches!(record_type, Some(&(CHANGE_CIPHER_SPEC | HANDSHAKE))) {
                return;
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

/// Header 5, explicit nonce 8 (TLS 1.2), content type 1 (TLS 1.3), tag 16; rounded up.
const RECORD_OVERHEAD: usize = 32;
const ALERT_ROOM: usize = 64;
/// First guess for a handshake message.
const HANDSHAKE_ROOM: usize = 4096;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustls::ClientConnection;

    use super::*;
    use crate::tls::ends::{Direction, deliver, ends, flight};
    use crate::tls::records::KEY_UPDATE;

    /// A session and a client whose handshake is done.
    struct Pair {
        session: Session,
        client: ClientConnection,
        incoming: Buf,
        plain: Buf,
    }

    impl Pair {
        fn new() -> Self {
            let (session, client) = ends();
            let mut pair = Self { session, client, incoming: Buf::new(), plain: Buf::new() };
            while pair.session.is_handshaking() || pair.client.is_handshaking() {
                pair.exchange();
            }
            pair
        }

        /// Carries bytes both ways once.
        fn exchange(&mut self) {
            let sent = flight(&mut self.client);
            let out = self.receive(&sent).unwrap();
            self.deliver(&out);
        }

        fn receive(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, Error> {
            let mut out = Buf::new();
            self.incoming.extend(ciphertext);
            let (data, plain) = (self.incoming.data_mut(), &mut self.plain);
            let received = self.session.receive(data, plain, &mut out)?;
            self.incoming.consume(received.consumed);
            Ok(out.data().to_vec())
        }

        fn send(&mut self, plain: &[u8]) -> Vec<u8> {
            let mut out = Buf::new();
            self.session.send(self.incoming.data_mut(), plain, &mut out).unwrap();
            out.data().to_vec()
        }

        fn deliver(&mut self, ciphertext: &[u8]) -> Vec<u8> {
            deliver(&mut self.client, ciphertext).unwrap()
        }
    }

    #[test]
    fn bytes_go_both_ways_however_they_are_cut() {
        let mut pair = Pair::new();
        let data: Vec<u8> = (0..40_000u32).map(|i| i as u8).collect();
        pair.client.writer().write_all(&data).unwrap();
        for piece in flight(&mut pair.client).chunks(997) {
            pair.receive(piece).unwrap();
        }
        assert_eq!(pair.plain.data(), &data[..]);
        assert!(pair.incoming.is_empty());
        let ciphertext = pair.send(&data);
        assert_eq!(pair.deliver(&ciphertext), data);
    }

    #[test]
    fn a_key_update_is_answered() {
        let mut pair = Pair::new();
        pair.client.refresh_traffic_keys().unwrap();
        pair.exchange();
        let ciphertext = pair.send(b"after");
        assert_eq!(pair.deliver(&ciphertext), b"after");
    }

    // invariant 6
    #[test]
    fn half_a_handshake_message_does_not_disturb_what_we_send() {
        let mut pair = Pair::new();
        let client = std::mem::replace(&mut pair.client, Pair::new().client);
        let (sequence, secrets) = client.dangerous_extract_secrets().unwrap().tx;
        // The first two bytes of a KeyUpdate, as a record of their own.
        let record = Direction::new(sequence, &secrets).seal(HANDSHAKE, &[KEY_UPDATE, 0]);
        let before = pair.plain.len();
        pair.receive(&record).unwrap();
        assert_eq!(pair.plain.len(), before);
        assert!(!pair.incoming.is_empty(), "rustls keeps its place in what is unconsumed");
        assert!(!pair.send(b"still here").is_empty());
        let mut out = Buf::new();
        pair.session.send_close_notify(pair.incoming.data_mut(), &mut out);
        assert!(!out.is_empty());
    }

    #[test]
    fn garbage_gets_an_alert_and_an_error() {
        let mut pair = Pair::new();
        let mut out = Buf::new();
        let mut garbage = *b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        let result = pair.session.receive(&mut garbage, &mut pair.plain, &mut out);
        assert!(result.is_err());
        assert!(!out.is_empty(), "the peer is told");
    }
}
