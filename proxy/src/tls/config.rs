//! The one rustls configuration of the process.
//!
//! There is one, not one per site: certificates are chosen by the resolver at each handshake, so a
//! swap or a reload touches neither the ticket keys nor any connection.

use std::cell::RefCell;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::Protocols;

/// Secure defaults of rustls on aws-lc: TLS 1.2 and 1.3 with forward secrecy and AEAD only,
/// X25519MLKEM768 first, the client's order of ciphers honoured, no early data.
pub fn server(
    protocols: Protocols,
    resolver: Arc<dyn ResolvesServerCert>,
    ticketer: Arc<dyn ProducesTickets>,
) -> Arc<ServerConfig> {
    let versions: &[&rustls::SupportedProtocolVersion] = match protocols {
        Protocols { tls12: true, tls13: false } => &[&rustls::version::TLS12],
        Protocols { tls12: false, .. } => &[&rustls::version::TLS13],
        Protocols { tls12: true, tls13: true } => {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        }
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoteName(resolver)));
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.ticketer = ticketer;
    // Stateless tickets need no store, and a shared one would be a lock between workers.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Arc::new(config)
}

thread_local! {
    static ASKED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The server name of the ClientHello that was processed last on this thread. rustls's unbuffered connection does not
/// keep it; the resolver sees it, on the same thread and before the call that delivered the hello returns.
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
