//! Both ends of a TLS connection in memory, for the tests of this room.

use std::io::Read;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, Error, RootCertStore, ServerConfig,
    SupportedCipherSuite,
};

use super::session::Session;

/// A session and a client that trusts it: TLS 1.3 with AES-128-GCM, and both give their keys away.
pub(super) fn ends() -> (Session, ClientConnection) {
    ends_of(cipher_suite::TLS13_AES_128_GCM_SHA256)
}

/// The same with another suite, and its version; ECDSA.
pub(super) fn ends_of(suite: SupportedCipherSuite) -> (Session, ClientConnection) {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let cert = CertificateDer::from(key.cert.der().to_vec());
    let pem = key.signing_key.serialize_pem();
    let private = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut provider = default_provider();
    provider.cipher_suites = vec![suite];
    let provider = Arc::new(provider);
    let mut server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.clone()], private)
        .unwrap();
    server.enable_secret_extraction = true;
    let mut roots = RootCertStore::empty();
    roots.add(cert).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(client), name).unwrap();
    (Session::new(Arc::new(server)).unwrap(), client)
}

/// What the client has to send.
pub(super) fn flight(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Gives `bytes` to the client: the plaintext that it has then.
pub(super) fn deliver(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets()?;
        let _ = client.reader().read_to_end(&mut plain);
    }
    Ok(plain)
}

/// One direction's records, without rustls.
pub(super) struct Direction {
    key: LessSafeKey,
    iv: [u8; 12],
    /// Of the next record.
    pub(super) number: u64,
}

impl Direction {
    pub(super) fn new(number: u64, secrets: &ConnectionTrafficSecrets) -> Self {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("suite") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).unwrap());
        Self { key, iv: iv.as_ref().try_into().unwrap(), number }
    }

    /// A record of a type.
    pub(super) fn seal(&mut self, kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut inner = [payload, &[kind]].concat();
        let len = u16::try_from(inner.len() + 16).unwrap().to_be_bytes();
        let header = [23, 3, 3, len[0], len[1]];
        let nonce = self.nonce();
        self.key.seal_in_place_append_tag(nonce, Aad::from(header), &mut inner).unwrap();
        [&header[..], &inner].concat()
    }

    /// Type and payload of a whole record; `None` when it was not made with this key and number.
    pub(super) fn open<'r>(&mut self, record: &'r mut [u8]) -> Option<(u8, &'r [u8])> {
        let (header, inner) = record.split_at_mut(5);
        let header: [u8; 5] = (&*header).try_into().unwrap();
        let nonce = self.nonce();
        let plain = self.key.open_in_place(nonce, Aad::from(header), inner).ok()?;
        let (kind, payload) = plain.split_last().unwrap();
        Some((*kind, payload))
    }

    /// RFC 8446 section 5.3.
    fn nonce(&mut self) -> Nonce {
        let mut nonce = self.iv;
        for (byte, of_number) in nonce[4..].iter_mut().zip(self.number.to_be_bytes()) {
            *byte ^= of_number;
        }
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}
