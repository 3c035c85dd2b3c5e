//! `server`, `listen` and `server_name`: who answers where, and for which names.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::super::address::{self, KeepAlive, ListenAddress};
use super::super::tree::{Directive, all};
use super::Lower;
use super::scope::Scope;
use crate::config::address::resolve_by_system;
use crate::config::{self, Keepalive, Listen, ListenOptions};
use crate::lookup::Lookup;
use crate::route::names::{Added, Names};

/// All servers, in their order.
pub(super) struct Servers<'t> {
    pub(super) all: Vec<Server<'t>>,
    pub(super) listeners: Vec<Listen>,
    /// The server of unknown names, by address.
    pub(super) defaults: HashMap<SocketAddr, usize>,
}

pub(super) struct Server<'t> {
    pub(super) directive: &'t Directive,
    pub(super) scope: Scope<'t>,
    pub(super) addresses: Vec<SocketAddr>,
    /// One of its addresses speaks TLS.
    pub(super) tls: bool,
}

impl Server<'_> {
    /// The arguments of `server_name`.
    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        let lines = all(self.directive.block(), "server_name");
        lines.flat_map(|line| line.args().iter().map(|word| &*word.bytes))
    }
}

impl<'t> Lower<'t> {
    pub(super) fn servers(&mut self, block: &'t [Directive], outer: &Scope<'t>) -> Servers<'t> {
        let mut servers =
            Servers { all: Vec::new(), listeners: Vec::new(), defaults: HashMap::new() };
        for directive in all(block, "server") {
            let scope = outer.within(directive.block());
            let number = servers.all.len();
            servers.all.push(Server { directive, scope, addresses: Vec::new(), tls: false });
            let lines: Vec<_> = all(directive.block(), "listen").collect();
            if lines.is_empty() {
                let address = (IpAddr::from(Ipv4Addr::UNSPECIFIED), 80).into();
                servers.add(number, address, false, false, ListenOptions::default());
            }
            for line in lines {
                self.listen(line, number, &mut servers);
            }
        }
        servers
    }

    fn listen(&mut self, line: &Directive, number: usize, servers: &mut Servers<'t>) {
        let Some(listen) = self.check(line, address::listen(line.args())) else { return };
        if listen.quic {
            self.problem(line, "\"quic\" of \"listen\" is not supported yet");
        }
        if listen.http2 {
            self.note_http2(line);
        }
        let legacy_ssl = servers.all[number].scope.flag("ssl", false);
        let hosts: Vec<IpAddr> = match &listen.address {
            ListenAddress::Ip(ip) => vec![*ip],
            ListenAddress::Unix(_) => {
                self.problem(line, "listening on a Unix socket is not supported yet");
                return;
            }
            ListenAddress::Host(name) => match resolve_by_system(name, 80) {
                Ok(found) => found.iter().map(SocketAddr::ip).collect(),
                Err(_) => {
                    let words = line.text(0);
                    let what = format!("host not found in \"{words}\" of the \"listen\" directive");
                    self.problem(line, what);
                    return;
                }
            },
        };
        let default = ListenOptions::default();
        let options = ListenOptions {
            backlog: listen.backlog.unwrap_or(default.backlog),
            ipv6only: listen.ipv6only.unwrap_or(default.ipv6only),
            reuseport: listen.reuseport || default.reuseport,
            proxy_protocol: listen.proxy_protocol,
            keepalive: listen.so_keepalive.map_or(default.keepalive, keepalive),
        };
        for port in listen.ports.clone() {
            for ip in &hosts {
                let tls = listen.ssl || legacy_ssl;
                servers.add(number, (*ip, port).into(), tls, listen.default_server, options);
            }
        }
    }

    /// HTTP/2 comes later: said once.
    pub(super) fn note_http2(&mut self, line: &Directive) {
        if !self.notes.iter().any(|note| note.what.starts_with("HTTP/2")) {
            self.note(line, "HTTP/2 is not there yet: HTTP/1.1 is offered instead");
        }
    }

    /// Which server answers for which name, for each address.
    pub(super) fn names(&mut self, servers: &Servers<'t>) -> Lookup<SocketAddr, Names> {
        let mut names: Lookup<_, _> = servers
            .defaults
            .iter()
            .map(|(address, default)| (*address, Names::new(*default)))
            .collect();
        for (number, server) in servers.all.iter().enumerate() {
            let mut lines: Vec<_> = all(server.directive.block(), "server_name").collect();
            let unnamed = lines.is_empty();
            for address in &server.addresses {
                let Some(names) = names.get_mut(address) else { continue };
                if unnamed {
                    let _ = names.add(b"", number, &mut self.registry);
                }
                for line in &mut lines {
                    self.at(line);
                    for word in line.args() {
                        let added = names.add(&word.bytes, number, &mut self.registry);
                        if self.check(line, added) == Some(Added::Conflict) {
                            let name = String::from_utf8_lossy(&word.bytes);
                            self.note(
                                line,
                                format!("conflicting server name \"{name}\" on {address}, ignored"),
                            );
                        }
                    }
                }
            }
        }
        names
    }
}

fn keepalive(wanted: KeepAlive) -> Keepalive {
    match wanted {
        KeepAlive::Off => Keepalive::Off,
        KeepAlive::On => Keepalive::On { idle: None, interval: None, probes: None },
        KeepAlive::Probes { idle, interval, count } => {
            Keepalive::On { idle, interval, probes: count }
        }
    }
}

impl Servers<'_> {
    fn add(
        &mut self,
        number: usize,
        address: SocketAddr,
        tls: bool,
        default: bool,
        options: ListenOptions,
    ) {
        let server = &mut self.all[number];
        if !server.addresses.contains(&address) {
            server.addresses.push(address);
        }
        let key = config::ListenAddress::Tcp(address);
        match self.listeners.iter_mut().find(|known| known.address == key) {
            Some(known) => {
                known.tls |= tls;
                known.options.proxy_protocol |= options.proxy_protocol;
            }
            None => {
                let optional = address.is_ipv6() && address.ip().is_unspecified();
                self.listeners.push(Listen { address: key, tls, optional, options });
            }
        }
        server.tls |= tls;
        if default {
            self.defaults.insert(address, number);
        } else {
            self.defaults.entry(address).or_insert(number);
        }
    }
}
