//! Certificates that every peer is given, and the client that accepts them.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self as provider, cipher_suite, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme};

/// The name that the load asks for.
pub(crate) const NAME: &str = "bench.example";

/// A certificate on disk in the shapes that peers want.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// Chain and key in one file.
    pub(crate) both: PathBuf,
}

/// A new key and certificate in `dir`. The files take their places by renaming, as a renewal
/// should.
pub(crate) fn write(dir: &Path, rsa: bool) -> Result<Files, String> {
    let say = |error: rcgen::Error| format!("certificate: {error}");
    let key = if rsa {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(say)?
    } else {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(say)?
    };
    let params = CertificateParams::new(vec![NAME.to_owned()]).map_err(say)?;
    let cert = params.self_signed(&key).map_err(say)?.pem();
    let key = key.serialize_pem();
    let files = Files::in_folder(dir);
    let both = format!("{cert}{key}");
    for (file, text) in [(&files.key, &key), (&files.cert, &cert), (&files.both, &both)] {
        let new = file.with_extension("new");
        let done = fs::write(&new, text).and_then(|()| fs::rename(&new, file));
        done.map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(files)
}

/// The certificate of `from` for a peer that lives in `to`: one of its own to be swapped, the same
/// for all until then.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<Files, String> {
    for name in ["cert.pem", "key.pem", "both.pem"] {
        let done = fs::copy(from.join(name), to.join(name));
        done.map_err(|error| format!("{}: {error}", to.join(name).display()))?;
    }
    Ok(Files::in_folder(to))
}

/// The certificate in a peer's folder, DER.
pub(crate) fn on_disk(dir: &Path) -> Result<CertificateDer<'static>, String> {
    let file = Files::in_folder(dir).cert;
    CertificateDer::from_pem_file(&file).map_err(|error| format!("{}: {error}", file.display()))
}

/// The certificate that a new connection is answered with.
pub(crate) fn shown_by(address: SocketAddr) -> io::Result<CertificateDer<'static>> {
    let name = ServerName::try_from(NAME).expect("it is a name");
    let mut tls = ClientConnection::new(Arc::new(client(false)), name).map_err(io::Error::other)?;
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(ANSWER_MAX))?;
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    let chain = tls.peer_certificates().unwrap_or_default();
    chain.first().map(|cert| cert.clone().into_owned()).ok_or(io::ErrorKind::NotFound.into())
}

impl Files {
    fn in_folder(dir: &Path) -> Self {
        Self { cert: dir.join("cert.pem"), key: dir.join("key.pem"), both: dir.join("both.pem") }
    }
}

/// What the load offers: what Chrome puts first, so that every peer does the same cryptography.
/// X25519 and AES-128-GCM; TLS 1.3, or 1.2 for those that have no more.
pub(crate) fn client(resumption: bool) -> ClientConfig {
    let mut crypto = provider::default_provider();
    crypto.kx_groups = vec![kx_group::X25519];
    crypto.cipher_suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto))
        .with_safe_default_protocol_versions()
        .expect("the provider has suites of both versions");
    let verifier = Arc::new(Anyone);
    let mut config =
        builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.resumption = if resumption {
        Resumption::in_memory_sessions(SESSIONS_KEPT)
    } else {
        Resumption::disabled()
    };
    config
}

/// Believes every certificate: verifying would only slow the load down, and prove nothing about a
/// proxy.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &Der<'_>,
        _: &[Der<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &Der<'_>, _: &Signed) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &Der<'_>, _: &Signed) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256]
    }
}

type Der<'a> = CertificateDer<'a>;
type Signed = DigitallySignedStruct;
type Verified = Result<HandshakeSignatureValid, Error>;

const ANSWER_MAX: Duration = Duration::from_secs(5);
const SESSIONS_KEPT: usize = 4;
