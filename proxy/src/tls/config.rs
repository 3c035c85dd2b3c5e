//! The rustls configurations of the process: one, or in nginx's language one for each address.
//!
//! There is none per site: certificates are chosen by the resolver at each handshake, so a
//! swap or a reload touches neither the ticket keys, which all of them share, nor any connection.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use certstore::tickets;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, SupportedCipherSuite};

use crate::config::{ListenAddress, Offer, Protocols, Tickets};
use crate::lookup::Lookup;

/// What handshakes begin with.
#[derive(Debug)]
pub struct Configs {
    /// Where no address has its own.
    pub one: Arc<ServerConfig>,
    pub by_address: Lookup<ListenAddress, Arc<ServerConfig>>,
}

impl Configs {
    /// That of a connection that came to `local`, which is asked for only where it matters.
    pub fn of<'l>(&self, local: impl FnOnce() -> &'l ListenAddress) -> Arc<ServerConfig> {
        if self.by_address.is_empty() {
            return self.one.clone();
        }
        local().find_in(&self.by_address).unwrap_or(&self.one).clone()
    }
}

/// Secure defaults of rustls on aws-lc: TLS 1.2 and 1.3 with forward secrecy and AEAD only,
/// X25519MLKEM768 first, no early data. Our order of ciphers counts, AES-128 first: as strong as
/// needed, and the cheapest on every machine with AES instructions.
pub fn server(
    offer: &Offer,
    resolver: Arc<dyn ResolvesServerCert>,
    ticketer: Arc<dyn ProducesTickets>,
) -> Arc<ServerConfig> {
    let versions: &[&rustls::SupportedProtocolVersion] = match offer.protocols {
        Protocols { tls12: true, tls13: false } => &[&rustls::version::TLS12],
        Protocols { tls12: false, .. } => &[&rustls::version::TLS13],
        Protocols { tls12: true, tls13: true } => {
            &[&rustls::version::TLS13, &rustls::version::TLS12]
        }
    };
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| strength(suite.suite()));
    if let Some(wanted) = &offer.suites {
        let place = |suite: &SupportedCipherSuite| {
            wanted.iter().position(|wanted| *wanted == suite.suite())
        };
        provider.cipher_suites.retain(|suite| suite.tls13().is_some() || place(suite).is_some());
        provider.cipher_suites.sort_by_key(place);
    }
    if let Some(wanted) = &offer.groups {
        let all = rustls::crypto::aws_lc_rs::ALL_KX_GROUPS;
        let find = |name| all.iter().copied().find(|group| group.name() == name);
        provider.kx_groups = wanted.iter().copied().filter_map(find).collect();
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("the provider has suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoteName(resolver)));
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
    config.ignore_client_order = offer.own_order;
    // They leave rustls, not the process: for tunnels (`tls::lean`), and for the kernel.
    config.enable_secret_extraction = true;
    config.ticketer = match offer.tickets {
        Tickets::Kept => ticketer,
        Tickets::For(time) => tickets::limited(ticketer, time),
        Tickets::None => tickets::none(),
    };
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
    static TURNED_AWAY: Cell<bool> = const { Cell::new(false) };
}

/// The server name of the ClientHello that was processed last on this thread. rustls's unbuffered
/// connection does not keep it; the resolver sees it, on the same thread and before the call that
/// delivered the hello returns.
pub(super) fn take_asked_name() -> Option<Box<str>> {
    ASKED.take()
}

/// A resolver that has no certificate for a name says by this that it is meant to be so.
pub fn turn_away() {
    TURNED_AWAY.set(true);
}

/// Whether the handshake that just failed on this thread was turned away by its resolver.
pub(super) fn take_turned_away() -> bool {
    TURNED_AWAY.take()
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
