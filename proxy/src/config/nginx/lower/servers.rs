//! `server`, `listen` and `server_name`: who answers where, and for which names.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::super::address;
use super::super::tree::{Directive, all};
use super::Lower;
use super::scope::Scope;
use crate::config::address::resolve_by_system;
use crate::config::{Listen, ListenAddress, ListenOptions};
use crate::errno;
use crate::lookup::Lookup;
use crate::route::names::{Added, Names};

/// All servers, in their order.
pub(super) struct Servers<'t> {
    pub(super) all: Vec<Server<'t>>,
    pub(super) listeners: Vec<Listen>,
    /// The server of unknown names, by address.
    pub(super) defaults: HashMap<ListenAddress, usize>,
    /// Those that a `default_server` names a server for, and those whose socket has options.
    named: HashSet<ListenAddress>,
    tuned: HashSet<ListenAddress>,
}

pub(super) struct Server<'t> {
    pub(super) directive: &'t Directive,
    pub(super) scope: Scope<'t>,
    pub(super) addresses: Vec<ListenAddress>,
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
        let mut servers = Servers {
            all: Vec::new(),
            listeners: Vec::new(),
            defaults: HashMap::new(),
            named: HashSet::new(),
            tuned: HashSet::new(),
        };
        for directive in all(block, "server") {
            let scope = outer.within(directive.block());
            let number = servers.all.len();
            servers.all.push(Server { directive, scope, addresses: Vec::new(), tls: false });
            let lines: Vec<_> = all(directive.block(), "listen").collect();
            if lines.is_empty() {
                let address = ListenAddress::Tcp((Ipv4Addr::UNSPECIFIED, 80).into());
                let options = ListenOptions::default();
                servers.add(
                    number,
                    Listen { address, tls: false, optional: false, options },
                    false,
                );
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
        for parameter in listen.idle() {
            self.note(line, format!("\"{parameter}\" of \"listen\" has no effect here"));
        }
        let Some(addresses) = self.listen_addresses(line, &listen) else { return };
        let tls = listen.ssl || servers.all[number].scope.flag("ssl", false);
        let default = ListenOptions::default();
        let options = ListenOptions {
            backlog: listen.backlog.unwrap_or(default.backlog),
            ipv6only: listen.ipv6only.unwrap_or(default.ipv6only),
            reuseport: listen.reuseport || default.reuseport,
            proxy_protocol: listen.proxy_protocol,
            keepalive: listen.so_keepalive.unwrap_or(default.keepalive),
        };
        for address in addresses {
            if listen.default_server && !servers.named.insert(address.clone()) {
                self.problem(line, format!("a duplicate default server for {address}"));
            }
            if listen.has_options() && !servers.tuned.insert(address.clone()) {
                self.problem(line, format!("duplicate listen options for {address}"));
            }
            if listen.default_server {
                servers.defaults.insert(address.clone(), number);
            }
            let optional = address.tcp().is_some_and(|at| at.is_ipv6() && at.ip().is_unspecified());
            let is_tuned = listen.has_options();
            servers.add(number, Listen { address, tls, optional, options }, is_tuned);
        }
    }

    /// All that one line names: a name may have several addresses, and ports come as ranges.
    fn listen_addresses(
        &mut self,
        line: &Directive,
        listen: &address::Listen,
    ) -> Option<Vec<ListenAddress>> {
        let hosts: Vec<IpAddr> = match &listen.address {
            address::ListenAddress::Ip(ip) => vec![*ip],
            address::ListenAddress::Unix(path) => {
                let path = std::path::absolute(path).map_err(|error| {
                    format!("\"unix:{path}\" can't be found: {}", errno::words(&error))
                });
                return Some(vec![ListenAddress::Unix(self.check(line, path)?)]);
            }
            address::ListenAddress::Host(name) => {
                let words = line.text(0);
                let what = format!("host not found in \"{words}\" of the \"listen\" directive");
                let found = self.check(line, resolve_by_system(name, 80).map_err(|_| what))?;
                found.iter().map(SocketAddr::ip).collect()
            }
        };
        let of_port = |port| hosts.iter().map(move |ip| ListenAddress::Tcp((*ip, port).into()));
        Some(listen.ports.clone().flat_map(of_port).collect())
    }

    /// HTTP/2 comes later: said once.
    pub(super) fn note_http2(&mut self, line: &Directive) {
        if !self.notes.iter().any(|note| note.what.starts_with("HTTP/2")) {
            self.note(line, "HTTP/2 is not there yet: HTTP/1.1 is offered instead");
        }
    }

    /// Which server answers for which name, for each address. Where nobody else listens, names mean
    /// nothing and are not looked at, as in nginx, unless there are expressions that capture.
    pub(super) fn names(&mut self, servers: &Servers<'t>) -> Lookup<ListenAddress, Names> {
        let mut names: Lookup<_, _> = servers
            .defaults
            .iter()
            .map(|(address, default)| (address.clone(), Names::new(*default)))
            .collect();
        let mut crowd: HashMap<&ListenAddress, usize> = HashMap::new();
        for address in servers.all.iter().flat_map(|server| &server.addresses) {
            *crowd.entry(address).or_default() += 1;
        }
        for (number, server) in servers.all.iter().enumerate() {
            for line in all(server.directive.block(), "server_name") {
                for word in line.args().iter().filter(|word| word.bytes.contains(&b'/')) {
                    let name = String::from_utf8_lossy(&word.bytes);
                    self.note(line, format!("server name \"{name}\" has suspicious symbols"));
                }
            }
            let captures = server.names().any(|name| name.starts_with(b"~"));
            let shared = |address: &&ListenAddress| captures || crowd[address] > 1;
            for address in server.addresses.iter().filter(shared) {
                let Some(names) = names.get_mut(address) else { continue };
                self.names_at(address, number, server, names);
            }
        }
        names
    }

    fn names_at(
        &mut self,
        address: &ListenAddress,
        number: usize,
        server: &Server<'t>,
        names: &mut Names,
    ) {
        let lines: Vec<_> = all(server.directive.block(), "server_name").collect();
        if lines.is_empty() {
            let _ = names.add(b"", number, &mut self.registry);
        }
        for line in lines {
            self.at(line);
            for word in line.args() {
                let added = names.add(&word.bytes, number, &mut self.registry);
                if self.check(line, added) == Some(Added::Conflict) {
                    let name = String::from_utf8_lossy(&word.bytes);
                    let what = format!("conflicting server name \"{name}\" on {address}, ignored");
                    self.note(line, what);
                }
            }
        }
    }
}

impl Servers<'_> {
    /// Adds an address of a server; `is_tuned`: its options are those that count there.
    fn add(&mut self, number: usize, listen: Listen, is_tuned: bool) {
        let server = &mut self.all[number];
        server.tls |= listen.tls;
        if !server.addresses.contains(&listen.address) {
            server.addresses.push(listen.address.clone());
        }
        self.defaults.entry(listen.address.clone()).or_insert(number);
        match self.listeners.iter_mut().find(|known| known.address == listen.address) {
            Some(known) => {
                known.tls |= listen.tls;
                let proxy_protocol = known.options.proxy_protocol | listen.options.proxy_protocol;
                if is_tuned {
                    known.options = listen.options;
                }
                known.options.proxy_protocol = proxy_protocol;
            }
            None => self.listeners.push(listen),
        }
    }
}
