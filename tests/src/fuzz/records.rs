//! The target of a tunnel's TLS records.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, RootCertStore, ServerConfig,
};
use sheen::buf::Buf;
use sheen::tls::lean::Lean;
use sheen::tls::session::Session;

/// Steps of a client whose handshake is done: records of any type and content, changed, lost or raw
/// ones.
pub fn records(bytes: &[u8]) {
    let whole = converse(bytes, usize::MAX);
    for size in [1, 7, 100] {
        assert_eq!(converse(bytes, size), whole);
    }
}

/// What a session comes to that gets the steps' records in pieces of a size.
fn converse(steps: &[u8], size: usize) -> Outcome {
    let (mut lean, mut client) = ends();
    let (stream, expected) = client.play(steps);
    let (mut plain, mut out) = (Buf::new(), Buf::new());
    let mut outcome = Outcome::default();
    let mut incoming = Vec::new();
    for piece in stream.chunks(size) {
        incoming.extend_from_slice(piece);
        match lean.receive(&incoming, &mut plain, &mut out) {
            Ok(received) => {
                outcome.ended = received.end;
                incoming.drain(..received.consumed);
            }
            Err(_) => {
                outcome.refused = true;
                break;
            }
        }
    }
    outcome.plain = plain.data().to_vec();
    assert_eq!(outcome.plain, expected.plain);
    assert_eq!(outcome.ended, expected.ended);
    assert!(outcome.refused || !expected.refused);
    outcome
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    plain: Vec<u8>,
    ended: bool,
    refused: bool,
}

/// A client's sending direction, and a naive reader of what it sends.
struct Client {
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
    expected: Outcome,
    /// Nothing that follows is read.
    over: bool,
    part: Vec<u8>,
    warnings: usize,
    key_is_old: bool,
}

impl Client {
    fn play(&mut self, mut steps: &[u8]) -> (Vec<u8>, &Outcome) {
        let mut stream = Vec::new();
        while let [step, rest @ ..] = steps {
            let (a, rest) = rest.split_first().map_or((0, rest), |(a, rest)| (*a, rest));
            let (b, after) = rest.split_first().map_or((0, rest), |(b, rest)| (*b, rest));
            let own = |len: u8| rest.split_at(usize::from(len).min(rest.len()));
            steps = match step % 8 {
                0 => {
                    stream.extend(self.seal(23, &vec![b; usize::from(a) * 9], 0));
                    after
                }
                1 => {
                    stream.extend(self.seal(23, &vec![b; usize::from(a)], usize::from(b)));
                    after
                }
                2 | 3 => {
                    let (payload, rest) = own(a % 8);
                    stream.extend(self.seal(if step % 8 == 2 { 22 } else { 21 }, payload, 0));
                    rest
                }
                4 => {
                    let (payload, rest) = own(b % 8);
                    stream.extend(self.seal(a, payload, 0));
                    rest
                }
                // The reader has been told of the record already, so only an untold one is changed.
                5 => {
                    let mut record = self.seal_unread(23, &[b; 20], 0);
                    let at = usize::from(a) % record.len();
                    record[at] ^= 1 << (b % 8);
                    stream.extend(record);
                    self.ends_unknown();
                    after
                }
                6 => {
                    let (raw, rest) = own(a % 16);
                    stream.extend_from_slice(raw);
                    if !raw.is_empty() {
                        self.ends_unknown();
                    }
                    rest
                }
                _ => {
                    self.seal_unread(23, b"lost", 0);
                    self.key_is_old = true;
                    &steps[1..]
                }
            };
        }
        (stream, &self.expected)
    }

    /// What follows may be refused or be incomplete; it is not read.
    fn ends_unknown(&mut self) {
        self.over = true;
    }

    fn refuse(&mut self) {
        self.over = true;
        self.expected.refused = true;
    }

    fn seal(&mut self, kind: u8, payload: &[u8], padding: usize) -> Vec<u8> {
        let record = self.seal_unread(kind, payload, padding);
        if self.over {
            return record;
        }
        if self.key_is_old {
            self.refuse();
            return record;
        }
        let mut inner = [payload, &[kind]].concat();
        while inner.last() == Some(&0) {
            inner.pop();
        }
        match (inner.pop(), &*inner) {
            (Some(22), []) => self.refuse(),
            (Some(22), piece) => self.read_handshake(piece),
            (Some(_), _) if !self.part.is_empty() => self.refuse(),
            (Some(23), data) => self.expected.plain.extend_from_slice(data),
            (Some(21), [_, 0]) => (self.over, self.expected.ended) = (true, true),
            (Some(21), [_, 90]) => {
                self.warnings += 1;
                if self.warnings > 4 {
                    self.refuse();
                }
            }
            _ => self.refuse(),
        }
        record
    }

    fn read_handshake(&mut self, piece: &[u8]) {
        self.part.extend_from_slice(piece);
        let all = [[24, 0, 0, 1, 0], [24, 0, 0, 1, 1]];
        if all.iter().any(|message| *message == *self.part) {
            self.part.clear();
            self.key_is_old = true;
        } else if !all.iter().any(|message| message.starts_with(&self.part)) {
            self.refuse();
        }
    }

    fn seal_unread(&mut self, kind: u8, payload: &[u8], padding: usize) -> Vec<u8> {
        let mut inner = [payload, &[kind], &vec![0; padding]].concat();
        let len = u16::try_from(inner.len() + 16).expect("steps are small").to_be_bytes();
        let header = [23, 3, 3, len[0], len[1]];
        let mut nonce = self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= of_number;
        }
        self.number += 1;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut inner);
        sealed.expect("aws-lc seals");
        [&header[..], &inner].concat()
    }
}

/// Both configurations, made once.
static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
    let made = made.expect("rcgen makes certificates");
    let cert = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it is PKCS #8");
    let mut provider = default_provider();
    provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    let provider = Arc::new(provider);
    let versions = [&rustls::version::TLS13];
    let server = ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_protocol_versions(&versions).expect("it has a suite");
    let server = server.with_no_client_auth().with_single_cert(vec![cert.clone()], key);
    let mut server = server.expect("the key fits");
    server.enable_secret_extraction = true;
    let mut roots = RootCertStore::empty();
    roots.add(cert).expect("it is a certificate");
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_protocol_versions(&versions).expect("it has a suite");
    let mut client = client.with_root_certificates(roots).with_no_client_auth();
    client.enable_secret_extraction = true;
    (Arc::new(server), Arc::new(client))
});

/// A session that has become lean, and its client's sending direction.
fn ends() -> (Lean, Client) {
    let (server, client) = &*CONFIGS;
    let mut session = Session::new(server.clone()).expect("a session begins");
    let name = ServerName::try_from("localhost").expect("it is a name");
    let mut client = ClientConnection::new(client.clone(), name).expect("a client begins");
    let (mut plain, mut out) = (Buf::new(), Buf::new());
    let mut incoming = Vec::new();
    while session.is_handshaking() || client.is_handshaking() {
        incoming.clear();
        while client.wants_write() {
            client.write_tls(&mut incoming).expect("a vector takes all");
        }
        session.receive(&mut incoming, &mut plain, &mut out).expect("the handshake succeeds");
        let mut sent = out.data();
        while !sent.is_empty() {
            client.read_tls(&mut sent).expect("it reads memory");
            client.process_new_packets().expect("the handshake succeeds");
        }
        out.clear();
    }
    session.send(&mut [], b"101", &mut out).expect("it sends");
    assert!(session.may_leave());
    let lean = session.into_lean().expect("rustls gives its keys away");
    let (number, secrets) = client.dangerous_extract_secrets().expect("it too").tx;
    let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("the suite") };
    let key = UnboundKey::new(&AES_128_GCM, key.as_ref()).expect("16 bytes");
    let iv = iv.as_ref().try_into().expect("12 bytes");
    let expected = Outcome::default();
    let client = Client {
        key: LessSafeKey::new(key),
        iv,
        number,
        expected,
        over: false,
        part: Vec::new(),
        warnings: 0,
        key_is_old: false,
    };
    (lean, client)
}
