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

use rustls::crypto::cipher::Iv;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, Error, ExtractedSecrets, PeerMisbehaved,
    ProtocolVersion, SupportedCipherSuite,
};

use super::stream::Input;
use crate::buf::Buf;
use crate::fault::Cause;
use crate::io::ktls::Incoming;
use crate::limits::{
    BUF_BYTES, KEY_UPDATES_PER_MINUTE_MAX, RECORD_BUF_BYTES, RECORDS_LEFT_MIN,
    SENDS_PER_RECORD_COUNT, WARNING_ALERTS_MAX,
};

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

/// What was negotiated, as far as the kernel and the counts need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suite {
    pub(super) tls13: bool,
    pub(super) cipher: Cipher,
    /// Records that may be sent under one key.
    limit: u64,
}

/// The ciphers that rustls and the kernel share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cipher {
    Aes128Gcm,
    Aes256Gcm,
    Chacha20Poly1305,
}

impl Suite {
    /// `None`: one that we do not know.
    pub(super) fn of(suite: SupportedCipherSuite) -> Option<Self> {
        use rustls::CipherSuite as Name;
        let (tls13, limit) = match suite {
            SupportedCipherSuite::Tls13(suite) => (true, suite.common.confidentiality_limit),
            SupportedCipherSuite::Tls12(suite) => (false, suite.common.confidentiality_limit),
        };
        let cipher = match suite.suite() {
            Name::TLS13_AES_128_GCM_SHA256
            | Name::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | Name::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => Cipher::Aes128Gcm,
            Name::TLS13_AES_256_GCM_SHA384
            | Name::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
            | Name::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => Cipher::Aes256Gcm,
            Name::TLS13_CHACHA20_POLY1305_SHA256
            | Name::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | Name::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => Cipher::Chacha20Poly1305,
            _ => return None,
        };
        Some(Self { tls13, cipher, limit })
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        if self.tls13 { ProtocolVersion::TLSv1_3 } else { ProtocolVersion::TLSv1_2 }
    }

    /// Bytes that a record is longer than its plaintext: header, tag, and the explicit nonce of
    /// TLS 1.2 or the inner type of TLS 1.3.
    fn overhead(&self) -> u64 {
        match (self.tls13, self.cipher) {
            (true, _) => 5 + 1 + 16,
            (false, Cipher::Aes128Gcm | Cipher::Aes256Gcm) => 5 + 8 + 16,
            (false, Cipher::Chacha20Poly1305) => 5 + 16,
        }
    }
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

/// Moves the explicit nonces of TLS 1.2 (RFC 5288 section 3) out of the way of those that rustls has
/// used. rustls makes them of a start value XOR the record's number; the kernel begins at the start
/// value and counts up, so that its first record would have the nonce of our Finished, and two
/// records with one nonce give the key away. With the highest bit turned over the two never meet.
fn fresh_nonces(secrets: ConnectionTrafficSecrets) -> ConnectionTrafficSecrets {
    let turned = |iv: Iv| {
        let mut bytes = [0; 12];
        bytes.copy_from_slice(iv.as_ref());
        bytes[4] ^= 0x80;
        Iv::new(bytes)
    };
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv } => {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv: turned(iv) }
        }
        ConnectionTrafficSecrets::Aes256Gcm { key, iv } => {
            ConnectionTrafficSecrets::Aes256Gcm { key, iv: turned(iv) }
        }
        // The nonces of all others are start value XOR number with the kernel too.
        other => other,
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

/// Record types, RFC 8446 section 5.1.
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;
/// Handshake messages, RFC 8446 section 4.
const CLIENT_HELLO: u8 = 1;
const KEY_UPDATE: u8 = 24;
const KEY_UPDATE_BYTES: usize = 5;
/// Alerts, RFC 8446 section 6.
const WARNING: u8 = 1;
const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;
const UNEXPECTED_MESSAGE: u8 = 10;
const BAD_RECORD_MAC: u8 = 20;
const RECORD_OVERFLOW: u8 = 22;
const USER_CANCELED: u8 = 90;
const NO_RENEGOTIATION: u8 = 100;

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io::{Read, Write};
    use std::sync::Arc;

    use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

    use super::*;
    use crate::tls::session::Session;

    /// The kernel's part in memory, for TLS 1.3 with AES-128-GCM: one record a receive.
    #[derive(Default)]
    struct Double {
        send: RefCell<Option<Direction>>,
        receive: RefCell<Option<Direction>>,
        /// Ciphertext from the client and to it.
        from_client: RefCell<Vec<u8>>,
        to_client: RefCell<Vec<u8>>,
        queued: Cell<u64>,
        /// Takes nothing now.
        full: Cell<bool>,
        /// Added to the count of records.
        records_more: Cell<u64>,
        closed: Cell<bool>,
    }

    struct Direction {
        key: LessSafeKey,
        iv: [u8; 12],
        number: u64,
    }

    impl Direction {
        fn new(number: u64, secrets: &ConnectionTrafficSecrets) -> Self {
            let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("suite") };
            let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
            Self { key, iv: iv.as_ref().try_into().unwrap(), number }
        }

        fn nonce(&mut self) -> Nonce {
            let mut nonce = self.iv;
            for (byte, of_number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
                *byte ^= of_number;
            }
            self.number += 1;
            Nonce::assume_unique_for_key(nonce)
        }
    }

    impl Double {
        fn seal(&self, kind: u8, payload: &[u8]) {
            let mut record = [payload, &[kind]].concat();
            let len = u16::try_from(record.len() + 16).unwrap().to_be_bytes();
            let header = [23, 3, 3, len[0], len[1]];
            let send = &mut *self.send.borrow_mut();
            let send = send.as_mut().unwrap();
            let nonce = send.nonce();
            send.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut record).unwrap();
            let mut out = self.to_client.borrow_mut();
            out.extend_from_slice(&header);
            out.extend_from_slice(&record);
            self.queued.set(self.queued.get() + 5 + record.len() as u64);
        }
    }

    impl Wire for Double {
        fn receive(&self, into: &mut [u8]) -> io::Result<Option<Incoming>> {
            let mut bytes = self.from_client.borrow_mut();
            let whole = bytes.len() >= 5
                && bytes.len() >= 5 + usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            if !whole {
                return Ok(self.closed.get().then_some(Incoming::End));
            }
            let len = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            let mut record: Vec<u8> = bytes.drain(..5 + len).collect();
            let header: [u8; 5] = record[..5].try_into().unwrap();
            let receive = &mut *self.receive.borrow_mut();
            let receive = receive.as_mut().unwrap();
            let nonce = receive.nonce();
            let opened = receive.key.open_in_place(nonce, Aad::from(header), &mut record[5..]);
            let Ok(plain) = opened else { return Err(io::Error::from_raw_os_error(libc::EBADMSG)) };
            let (kind, payload) = plain.split_last().unwrap();
            into[..payload.len()].copy_from_slice(payload);
            Ok(Some(Incoming::Record { kind: *kind, len: payload.len() }))
        }

        fn send(&self, data: &[u8]) -> io::Result<Option<usize>> {
            if self.full.get() {
                return Ok(None);
            }
            let piece = &data[..data.len().min(16384)];
            self.seal(DATA, piece);
            Ok(Some(piece.len()))
        }

        fn send_record(&self, kind: u8, payload: &[u8]) -> io::Result<bool> {
            if !self.full.get() {
                self.seal(kind, payload);
            }
            Ok(!self.full.get())
        }

        fn install(&self, _suite: &Suite, keys: Keys) -> io::Result<()> {
            match keys {
                Keys::Send(number, secrets) => {
                    self.send.replace(Some(Direction::new(number, &secrets)));
                    self.records_more.set(0);
                }
                Keys::Receive(number, secrets) => {
                    self.receive.replace(Some(Direction::new(number, &secrets)));
                }
            }
            Ok(())
        }

        fn next_record(&self, _suite: &Suite) -> io::Result<u64> {
            Ok(self.send.borrow().as_ref().unwrap().number + self.records_more.get())
        }

        fn bytes_queued(&self) -> io::Result<u64> {
            Ok(self.queued.get())
        }
    }

    /// A connection that has gone over, and its client.
    struct Pair {
        wire: Double,
        kernel: Kernel,
        client: ClientConnection,
        plain: Buf,
        began: Instant,
    }

    fn ends() -> (Session, ClientConnection) {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let cert = CertificateDer::from(key.cert.der().to_vec());
        let pem = key.signing_key.serialize_pem();
        let private = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut provider = rustls::crypto::aws_lc_rs::default_provider();
        provider.cipher_suites =
            vec![rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let provider = Arc::new(provider);
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.clone()], private)
            .unwrap();
        server.enable_secret_extraction = true;
        let mut roots = RootCertStore::empty();
        roots.add(cert).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(Arc::new(client), name).unwrap();
        (Session::new(Arc::new(server)).unwrap(), client)
    }

    fn flight(client: &mut ClientConnection) -> Vec<u8> {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    fn deliver(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets()?;
            let _ = client.reader().read_to_end(&mut plain);
        }
        Ok(plain)
    }

    impl Pair {
        /// Handshake, a request, the head of the answer, and the hand-over.
        fn new(rekeys: bool) -> Self {
            let (mut session, mut client) = ends();
            let mut plain = Buf::new();
            while session.is_handshaking() || client.is_handshaking() {
                let mut out = Buf::new();
                session.receive(&mut flight(&mut client), &mut plain, &mut out).unwrap();
                deliver(&mut client, out.data()).unwrap();
            }
            client.writer().write_all(b"request").unwrap();
            // rustls answers it with the next data that it sends.
            client.refresh_traffic_keys().unwrap();
            let mut out = Buf::new();
            session.receive(&mut flight(&mut client), &mut plain, &mut out).unwrap();
            assert!(!session.may_leave(), "it owes a KeyUpdate and does not say so");
            session.send(&mut [], b"head", &mut out).unwrap();
            assert!(session.may_leave());
            assert_eq!(deliver(&mut client, out.data()).unwrap(), b"head");
            let (secrets, rustls) = session.into_kernel().unwrap();
            let (wire, began) = (Double::default(), Instant::now());
            let kernel = Kernel::install(&wire, rustls, secrets, rekeys, began).unwrap();
            Self { wire, kernel, client, plain: Buf::new(), began }
        }

        fn receive_after(&mut self, time: Duration) -> Result<Option<Input>, Cause> {
            self.wire.from_client.borrow_mut().extend(flight(&mut self.client));
            self.kernel.receive(&self.wire, &mut self.plain, self.began + time)
        }

        fn receive(&mut self) -> Result<Option<Input>, Cause> {
            self.receive_after(Duration::ZERO)
        }

        /// What the client gets of what was sent so far.
        fn delivered(&mut self) -> Result<Vec<u8>, Error> {
            let bytes = std::mem::take(&mut *self.wire.to_client.borrow_mut());
            deliver(&mut self.client, &bytes)
        }

        /// Both ways still work.
        fn talks(&mut self) {
            self.client.writer().write_all(b"ping").unwrap();
            assert_eq!(self.receive().unwrap(), Some(Input::Data));
            assert_eq!(self.plain.data(), b"ping");
            self.plain.clear();
            assert_eq!(self.kernel.try_send(&self.wire, b"pong").unwrap(), Some(4));
            assert_eq!(self.delivered().unwrap(), b"pong");
            assert_eq!(self.kernel.unsettled(&self.wire).unwrap(), 0);
        }
    }

    #[test]
    fn bytes_go_both_ways_and_ends_are_told_apart() {
        let mut pair = Pair::new(true);
        pair.talks();
        assert_eq!(pair.receive().unwrap(), None);
        pair.client.send_close_notify();
        assert_eq!(pair.receive().unwrap(), Some(Input::End));
        assert_eq!(pair.receive().unwrap(), Some(Input::End), "and so it stays");

        let mut pair = Pair::new(true);
        pair.wire.closed.set(true);
        assert_eq!(pair.receive().unwrap(), Some(Input::Truncated));
    }

    #[test]
    fn a_record_waits_until_it_is_whole_wherever_it_is_cut() {
        let mut pair = Pair::new(true);
        for cut in 0..26 {
            pair.client.writer().write_all(b"ping").unwrap();
            let record = flight(&mut pair.client);
            pair.wire.from_client.borrow_mut().extend_from_slice(&record[..cut]);
            assert_eq!(pair.receive().unwrap(), None, "{cut}");
            pair.wire.from_client.borrow_mut().extend_from_slice(&record[cut..]);
            assert_eq!(pair.receive().unwrap(), Some(Input::Data), "{cut}");
            pair.plain.clear();
        }
    }

    #[test]
    fn new_keys_are_followed_and_ours_go_out_before_more_data() {
        let mut pair = Pair::new(true);
        for _ in 0..3 {
            pair.client.refresh_traffic_keys().unwrap();
            pair.wire.full.set(true);
            assert_eq!(pair.receive().unwrap(), None);
            assert!(pair.kernel.owes());
            assert_eq!(pair.kernel.try_send(&pair.wire, b"later").unwrap(), None);
            pair.wire.full.set(false);
            pair.talks();
        }
    }

    #[test]
    fn a_kernel_without_new_keys_says_goodbye() {
        let mut pair = Pair::new(false);
        pair.client.refresh_traffic_keys().unwrap();
        let Err(Cause::Tls(error)) = pair.receive() else { panic!("no fault") };
        assert!(error.to_string().contains("can't follow"), "{error}");
        assert_eq!(pair.delivered().unwrap(), b"");
        assert_eq!(pair.client.reader().read(&mut [0]).unwrap(), 0, "close_notify, no truncation");
    }

    #[test]
    fn so_many_key_updates_a_minute_and_no_more() {
        let mut pair = Pair::new(true);
        let mut renew = |after: u64| {
            pair.client.refresh_traffic_keys().unwrap();
            let result = pair.receive_after(Duration::from_secs(after));
            let _ = pair.kernel.try_flush(&pair.wire);
            let _ = pair.delivered();
            result.is_ok()
        };
        assert!((0..KEY_UPDATES_PER_MINUTE_MAX).all(|_| renew(1)));
        assert!((0..KEY_UPDATES_PER_MINUTE_MAX).all(|_| renew(61)));
        assert!(!renew(62));
    }

    #[test]
    fn a_key_that_is_nearly_worn_out_is_renewed_or_given_up() {
        for rekeys in [true, false] {
            let mut pair = Pair::new(rekeys);
            let limit = pair.kernel.suite.limit;
            pair.wire.records_more.set(limit - RECORDS_LEFT_MIN);
            let sends = (0..SENDS_PER_RECORD_COUNT).map(|_| {
                let sent = pair.kernel.try_send(&pair.wire, b"x");
                sent.map(|_| pair.delivered().unwrap())
            });
            assert_eq!(sends.filter(Result::is_err).count(), usize::from(!rekeys));
            assert_eq!(pair.wire.records_more.get() == 0, rekeys, "new keys");
        }
    }

    #[test]
    fn what_has_no_place_gets_an_alert() {
        let finished = [20, 0, 0, 1, 0];
        let half_a_key_update = [KEY_UPDATE, 0];
        let two_key_updates = [KEY_UPDATE, 0, 0, 1, 0, KEY_UPDATE, 0, 0, 1, 0];
        for message in [&finished[..], &half_a_key_update, &two_key_updates] {
            let mut pair = Pair::new(true);
            let result = pair.kernel.control(
                &pair.wire,
                HANDSHAKE,
                &message[..message.len().min(KEY_UPDATE_BYTES)],
                message.len(),
                pair.began,
            );
            assert!(matches!(result, Err(Cause::Tls(_))), "{message:?}");
            let told = pair.delivered().unwrap_err();
            assert_eq!(told, Error::AlertReceived(AlertDescription::UnexpectedMessage));
        }
        let mut pair = Pair::new(true);
        let garbage = b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        pair.wire.from_client.borrow_mut().extend_from_slice(garbage);
        assert!(matches!(pair.receive(), Err(Cause::Tls(Error::DecryptError))));
        let told = pair.delivered().unwrap_err();
        assert_eq!(told, Error::AlertReceived(AlertDescription::BadRecordMac));
    }

    #[test]
    fn the_nonces_of_tls_1_2_never_meet_those_of_rustls() {
        for start in [[0; 12], [0xff; 12], [0x7f; 12]] {
            let key = rustls::crypto::cipher::AeadKey::from([7; 32]);
            let secrets = ConnectionTrafficSecrets::Aes256Gcm { key, iv: Iv::new(start) };
            let ConnectionTrafficSecrets::Aes256Gcm { iv, .. } = fresh_nonces(secrets) else {
                panic!("another cipher")
            };
            assert_eq!(iv.as_ref()[..4], start[..4], "the salt stays");
            let of = |iv: &[u8]| u64::from_be_bytes(iv[4..].try_into().unwrap());
            let (ours, kernels) = (of(&start), of(iv.as_ref()));
            for number in (0..1 << 16).chain((1 << 40)..(1 << 40) + 64) {
                let used = ours ^ number;
                // The kernel counts up from its start: how far would it have to?
                assert!(used.wrapping_sub(kernels) > 1 << 48, "{number}");
            }
        }
    }
}
