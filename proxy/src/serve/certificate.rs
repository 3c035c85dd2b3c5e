//! Which certificate a handshake gets: that of the server which answers at its address for the name
//! it asks for, as nginx chooses.

use std::sync::Arc;

use certstore::Store;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::ListenAddress;
use crate::route::http::{Host, Http};
use crate::route::names::Names;
use crate::route::state::State;
use crate::tls;

/// The resolver of one address.
#[derive(Debug)]
pub struct AtAddress {
    pub address: ListenAddress,
    pub http: Arc<Http>,
    pub store: Arc<Store>,
}

impl AtAddress {
    fn chosen(&self, names: &Names, name: Option<&str>) -> &Host {
        let mut state = State::default();
        let number = match name {
            None => names.default_server(),
            Some(name) => {
                let name = without_dot(name);
                // Only an expression among the names needs it.
                state.begin(&self.http.variables);
                names.find(name.as_bytes(), &mut state, &self.http.variables)
            }
        };
        &self.http.hosts[number]
    }
}

/// The name of a handshake without a final dot, as nginx reads it.
pub fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

impl ResolvesServerCert for AtAddress {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let names = self.http.names.get(&self.address)?;
        let (name, schemes) = (hello.server_name(), hello.signature_schemes());
        let host = self.chosen(names, name);
        if host.secure.rejects {
            tls::config::turn_away();
            return None;
        }
        let default = &self.http.hosts[names.default_server()];
        let own = [host, default].into_iter().find(|host| !host.secure.group.is_empty());
        let own = own.and_then(|host| self.store.select_of(&host.secure.group, schemes));
        own.or_else(|| self.store.select(name, schemes))
    }
}
