//! The one rustls configuration of the process.
//!
//! There is one, not one per site: certificates are chosen by the resolver at each handshake, so a
//! swap or a reload touches neither the ticket keys nor any connection.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig};

use super::ktls::Offload;
use crate::config::Protocols;

/// Secure defaults of rustls on aws-lc: TLS 1.2 and 1.3 with forward secrecy and AEAD only,
/// X25519MLKEM768 first, no early data. Our order of ciphers counts, AES-128 first: as strong as
/// needed, and the cheapest on every machine with AES instructions.
pub fn server(
    protocols: Protocols,
    resolver: Arc<dyn ResolvesServerCert>,
    ticketer: Arc<dyn ProducesTickets>,
    offload: &Offload,
) -> Arc<ServerConfig> {
    let versions: &[&rustls::SupportedProtocolVersion] = match protocols {
        Protocols { tls12: true, tls13: false } => &[&rustls::version::TLS12],
        Protocols { tls12: false, .. } => &[&rustls::version::TLS13],
        Protocols { tls12: true, tls13: true } => {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        }
    };
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| strength(suite.suite()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoteName(resolver)));
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.ignore_client_order = true;
    // The kernel needs them when it does TLS; nobody else does.
    config.enable_secret_extraction = offload.is_some();
    config.ticketer = ticketer;
    // Stateless tickets need no store, and a shared one would be a lock between workers.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Arc::new(config)
}

/// Sorts the suites of each version: AES-128-GCM, AES-256-GCM, ChaCha20.
fn strength(suite: CipherSuite) -> u8 {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 1,
        _ => 2,
    }
}

thread_local! {
    static ASKED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The server name of the ClientHello that was processed last on this thread. rustls's unbuffered
/// connection does not keep it; the resolver sees it, on the same thread and before the call that
/// delivered the hello returns.
pub(super) fn take_asked_name() -> Option<Box<str>> {
    ASKED.take()
}

/// A resolver that notes what was asked for.
#[derive(Debug)]
struct NoteName(Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for NoteName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        ASKED.set(hello.server_name().map(Into::into));
        self.0.resolve(hello)
    }
}
