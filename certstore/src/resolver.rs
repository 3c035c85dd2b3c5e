//! rustls's resolver over the store: one load, one lookup

use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::store::Store;

/// Answers a ClientHello from the set that is current at that moment. A handshake in flight keeps
/// the pair it was given.
#[derive(Debug)]
pub struct Resolver(pub Arc<Store>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.select(hello.server_name(), hello.signature_schemes())
    }
}
