//! `ssl_*`: certificates by server, and what is offered to clients.

use std::path::PathBuf;

use super::super::tree::Directive;
use super::servers::{Server, Servers};
use super::{Lower, neutral_site};
use crate::config::{CertificateFiles, Ktls, ListenAddress, Protocols, Site};

/// What TLS is made of.
pub(super) struct Tls {
    /// One for each server with TLS, the default one first.
    pub(super) sites: Vec<Site>,
    pub(super) protocols: Protocols,
    pub(super) ktls: Ktls,
}

impl<'t> Lower<'t> {
    pub(super) fn tls(&mut self, servers: &Servers<'t>) -> Tls {
        let secure = |address: &std::net::SocketAddr| {
            servers
                .listeners
                .iter()
                .any(|listen| listen.tls && listen.address == ListenAddress::Tcp(*address))
        };
        let mut order: Vec<usize> = servers
            .all
            .iter()
            .enumerate()
            .filter(|(_, server)| server.addresses.iter().any(secure))
            .map(|(number, _)| number)
            .collect();
        let is_default = |number: &usize| {
            let mut defaults = servers.defaults.iter();
            defaults.any(|(address, default)| default == number && secure(address))
        };
        order.sort_by_key(|number| !is_default(number));
        let mut protocols = Protocols { tls12: true, tls13: true };
        let mut ktls = Ktls::Off;
        let mut sites = Vec::new();
        for (at, number) in order.iter().enumerate() {
            let server = &servers.all[*number];
            let own = self.protocols(server);
            if at == 0 {
                protocols = own;
            } else if own != protocols
                && let Some(line) = server.scope.line("ssl_protocols")
            {
                self.note(line, "the protocols of the default server are offered for all servers");
            }
            if let Some(line) = server.scope.line("http2")
                && line.is_on()
            {
                self.note_http2(line);
            }
            if self.wants_kernel(server) {
                ktls = Ktls::Auto;
            }
            let certificates = self.certificates(server);
            sites.push(Site { names: names(server), certificates, ..neutral_site() });
        }
        Tls { sites, protocols, ktls }
    }

    /// `ssl_conf_command Options KTLS`, the one command of OpenSSL's that means something here. One
    /// server that says so says it for all.
    fn wants_kernel(&mut self, server: &Server<'t>) -> bool {
        let mut wants = false;
        for line in server.scope.lines(&["ssl_conf_command"]) {
            let [name, value] = [line.text(0), line.text(1)];
            if name.eq_ignore_ascii_case("Options") && value.eq_ignore_ascii_case("KTLS") {
                wants = true;
            } else {
                let what = format!("\"ssl_conf_command {name} {value}\": there is no OpenSSL here");
                self.problem(line, what);
            }
        }
        wants
    }

    fn protocols(&mut self, server: &Server<'t>) -> Protocols {
        let Some(line) = server.scope.line("ssl_protocols") else {
            return Protocols { tls12: true, tls13: true };
        };
        let has =
            |name: &[u8]| line.args().iter().any(|word| word.bytes.eq_ignore_ascii_case(name));
        let protocols = Protocols { tls12: has(b"TLSv1.2"), tls13: has(b"TLSv1.3") };
        if !protocols.tls12 && !protocols.tls13 {
            self.problem(line, "\"ssl_protocols\" names neither TLSv1.2 nor TLSv1.3");
        }
        protocols
    }

    fn certificates(&mut self, server: &Server<'t>) -> Vec<CertificateFiles> {
        let certs = server.scope.lines(&["ssl_certificate"]);
        let keys = server.scope.lines(&["ssl_certificate_key"]);
        if certs.is_empty() {
            self.problem(
                server.directive,
                "no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive",
            );
        }
        if certs.len() > keys.len()
            && let Some(cert) = certs.get(keys.len())
        {
            let name = cert.text(0);
            let what = format!("no \"ssl_certificate_key\" is defined for certificate \"{name}\"");
            self.problem(cert, what);
        }
        let pairs = certs.iter().zip(&keys);
        let files = pairs.map(|(cert, key)| CertificateFiles {
            cert: self.key_file(cert),
            key: self.key_file(key),
        });
        files.collect()
    }

    fn key_file(&mut self, line: &Directive) -> PathBuf {
        let name = line.text(0);
        if name.contains('$') || name.starts_with("data:") || name.starts_with("engine:") {
            self.problem(line, format!("\"{name}\" is no file: others are not supported yet"));
        }
        self.options.conf_prefix.join(&*name)
    }
}

/// The names that a handshake can bring: not expressions, not `name.*`.
fn names(server: &Server<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for name in server.names() {
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let name = name.to_ascii_lowercase();
        let bare = name.strip_prefix("*.").or(name.strip_prefix('.')).unwrap_or(&name);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if bare.is_empty() || !bare.bytes().all(is_host) {
            continue;
        }
        match name.strip_prefix('.') {
            Some(bare) => names.extend([bare.to_owned(), format!("*.{bare}")]),
            None => names.push(name),
        }
    }
    names
}
