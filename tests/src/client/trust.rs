//! What a client offers and trusts in the handshake.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};

/// What differs from the usual: TLS 1.2 and 1.3, ALPN http/1.1, SNI, the test authority trusted.
#[derive(Debug, Clone)]
pub struct Offer {
    pub versions: Vec<&'static SupportedProtocolVersion>,
    pub alpn: Vec<&'static str>,
    pub sni: bool,
    pub groups: Vec<&'static dyn SupportedKxGroup>,
    /// Ciphers; empty: all.
    pub suites: Vec<CipherSuite>,
    /// Signatures the client can check; empty: all.
    pub schemes: Vec<SignatureScheme>,
    /// True exactly when any certificate will do.
    pub trusting: bool,
    /// True exactly when tickets are kept for later connections of this configuration.
    pub resumption: bool,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            versions: rustls::ALL_VERSIONS.to_vec(),
            alpn: vec!["http/1.1"],
            sni: true,
            groups: aws_lc_rs::default_provider().kx_groups,
            suites: Vec::new(),
            schemes: Vec::new(),
            trusting: false,
            resumption: false,
        }
    }
}

impl Offer {
    pub fn config(self) -> Arc<ClientConfig> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = self.groups;
        if !self.suites.is_empty() {
            provider.cipher_suites.retain(|suite| self.suites.contains(&suite.suite()));
        }
        if !self.schemes.is_empty() && !self.schemes.contains(&SignatureScheme::RSA_PSS_SHA256) {
            provider.cipher_suites.retain(|suite| !format!("{suite:?}").contains("ECDHE_RSA"));
        } else if !self.schemes.is_empty() {
            provider.cipher_suites.retain(|suite| !format!("{suite:?}").contains("ECDHE_ECDSA"));
        }
        let provider = Arc::new(provider);
        let verifier = Arc::new(Verifier {
            webpki: (!self.trusting).then(|| webpki(&provider)),
            provider: Arc::clone(&provider),
            schemes: self.schemes,
        });
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = self.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.enable_sni = self.sni;
        if !self.resumption {
            config.resumption = Resumption::disabled();
        }
        Arc::new(config)
    }
}

/// The configuration of most connections.
pub(super) fn usual() -> Arc<ClientConfig> {
    static USUAL: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    Arc::clone(USUAL.get_or_init(|| Offer::default().config()))
}

#[derive(Debug)]
struct Verifier {
    webpki: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    schemes: Vec<SignatureScheme>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.webpki {
            Some(webpki) => webpki.verify_server_cert(leaf, intermediates, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        if self.schemes.is_empty() {
            return self.provider.signature_verification_algorithms.supported_schemes();
        }
        self.schemes.clone()
    }
}

fn webpki(provider: &Arc<CryptoProvider>) -> Arc<WebPkiServerVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(crate::pki::authority()).unwrap();
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .unwrap()
}
