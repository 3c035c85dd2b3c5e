//! `ssl_*`: certificates by server, and what is offered to clients.

use std::path::PathBuf;

use super::super::tree::{Directive, find};
use super::super::values;
use super::servers::{Server, Servers};
use super::{Lower, ciphers, neutral_site};
use crate::config::{
    CertificateFiles, Ktls, ListenAddress, Offer, Protocols, Site, Tickets, certificate_group,
};
use crate::route::http::Secure;

/// What TLS is made of.
pub(super) struct Tls {
    /// One for each server with certificates, the default ones first.
    pub(super) sites: Vec<Site>,
    /// What any address offers.
    pub(super) protocols: Protocols,
    pub(super) ktls: Ktls,
    /// By address.
    pub(super) offers: Vec<(ListenAddress, Offer)>,
    /// By server.
    pub(super) servers: Vec<Secure>,
}

impl<'t> Lower<'t> {
    pub(super) fn tls(&mut self, servers: &Servers<'t>) -> Tls {
        let mut tls = Tls {
            sites: Vec::new(),
            protocols: Protocols { tls12: false, tls13: false },
            ktls: Ktls::Off,
            offers: Vec::new(),
            servers: vec![Secure::default(); servers.all.len()],
        };
        let secure: Vec<ListenAddress> = servers
            .listeners
            .iter()
            .filter(|listen| listen.tls)
            .map(|listen| listen.address.clone())
            .collect();
        let is_default = |number: usize| {
            secure.iter().any(|address| servers.defaults.get(address) == Some(&number))
        };
        let mut order: Vec<usize> = (0..servers.all.len()).collect();
        order.retain(|number| {
            servers.all[*number].addresses.iter().any(|address| secure.contains(address))
        });
        order.sort_by_key(|number| !is_default(*number));
        for number in order {
            let server = &servers.all[number];
            if self.wants_kernel(server) {
                tls.ktls = Ktls::Auto;
            }
            let rejects = server.scope.flag("ssl_reject_handshake", false);
            let alone = is_default(number)
                || server.addresses.iter().filter_map(|at| servers.defaults.get(at)).any(
                    |default| servers.all[*default].scope.lines(&["ssl_certificate"]).is_empty(),
                );
            let certificates = self.certificates(server, alone && !rejects);
            let group = certificate_group(&certificates);
            tls.servers[number] = Secure { group, rejects };
            if !certificates.is_empty() {
                let names = names(server);
                tls.sites.push(Site { names, certificates, ..neutral_site() });
            }
        }
        let mut missing = Vec::new();
        for address in secure {
            let Some(default) = servers.defaults.get(&address) else { continue };
            let offer = self.offer(&servers.all[*default], &mut missing);
            tls.protocols.tls12 |= offer.protocols.tls12;
            tls.protocols.tls13 |= offer.protocols.tls13;
            tls.offers.push((address, offer));
        }
        self.note_missing(missing);
        self.note_other_protocols(servers);
        tls
    }

    /// What the default server of an address offers there, whatever the others say: it is agreed on
    /// before the name is looked at. Words of its lists that can't be had are added to `missing`.
    fn offer(&mut self, server: &Server<'t>, missing: &mut Vec<(&'t Directive, String)>) -> Offer {
        let scope = &server.scope;
        let protocols = self.protocols(server);
        let mut offer = Offer {
            own_order: scope.flag("ssl_prefer_server_ciphers", false),
            ..Offer::of(protocols)
        };
        if let Some(line) = scope.line("ssl_ciphers") {
            let chosen = ciphers::suites(&line.text(0));
            missing.extend(chosen.missing.into_iter().map(|word| (line, word)));
            if chosen.offered.is_empty() && protocols.tls12 {
                offer.protocols.tls12 = false;
                self.without_suites(line, protocols);
            } else if !chosen.offered.is_empty() {
                offer.suites = Some(chosen.offered.into());
            }
        }
        if let Some(line) = scope.line("ssl_ecdh_curve")
            && let Some(chosen) = ciphers::groups(&line.text(0))
        {
            missing.extend(chosen.missing.into_iter().map(|word| (line, word)));
            if chosen.offered.is_empty() {
                self.problem(line, format!("\"ssl_ecdh_curve\": {NO_GROUP}"));
            } else {
                offer.groups = Some(chosen.offered.into());
            }
        }
        if !scope.flag("ssl_session_tickets", true) {
            offer.tickets = Tickets::None;
            self.note_no_tickets(scope.line("ssl_session_tickets"));
        } else if let Some(line) = scope.line("ssl_session_timeout")
            && let Some(time) = values::seconds(line.arg(0))
        {
            offer.tickets = Tickets::For(time);
        }
        offer
    }

    /// A list of ciphers that leaves nothing for TLS 1.2.
    fn without_suites(&mut self, line: &Directive, protocols: Protocols) {
        if protocols.tls13 {
            let note = "\"ssl_ciphers\" leaves no cipher for TLS 1.2: TLS 1.3 alone is offered";
            self.note(line, note);
        } else {
            let what = format!("SSL_CTX_set_cipher_list(\"{}\") failed: {NO_CIPHER}", line.text(0));
            self.problem(line, what);
        }
    }

    fn note_no_tickets(&mut self, line: Option<&Directive>) {
        let said =
            self.notes.iter().any(|note| note.what.starts_with("\"ssl_session_tickets off\""));
        if let Some(line) = line.filter(|_| !said) {
            self.note(
                line,
                "\"ssl_session_tickets off\": no session is resumed then, since sheen stores none; \
                 with \"on\" the keys of tickets are random and change every six hours",
            );
        }
    }

    /// What can't be had, once for all lists.
    fn note_missing(&mut self, missing: Vec<(&Directive, String)>) {
        let Some((first, _)) = missing.first().cloned() else { return };
        let mut words: Vec<String> = Vec::new();
        for (_, word) in missing {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let words = words.join(", ");
        let why = "every cipher that is offered has forward secrecy and AEAD";
        self.note(first, format!("not offered: {words}; {why}"));
    }

    fn note_other_protocols(&mut self, servers: &Servers<'t>) {
        for (number, server) in servers.all.iter().enumerate().filter(|(_, server)| server.tls) {
            let Some(line) = find(server.directive.block(), "ssl_protocols") else { continue };
            let words = |line: &Directive| -> Vec<Vec<u8>> {
                let mut words: Vec<_> =
                    line.args().iter().map(|word| word.bytes.to_ascii_lowercase()).collect();
                words.sort();
                words
            };
            let differs = server.addresses.iter().any(|address| {
                servers.defaults.get(address).is_some_and(|default| {
                    let other = servers.all[*default].scope.line("ssl_protocols");
                    *default != number && other.is_none_or(|other| words(other) != words(line))
                })
            });
            if differs {
                self.note(
                    line,
                    "\"ssl_protocols\" of this server has no say: as in nginx, the protocols of an \
                     address are those of its default server",
                );
            }
        }
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

    /// `needed`: nobody else's would do.
    fn certificates(&mut self, server: &Server<'t>, needed: bool) -> Vec<CertificateFiles> {
        let certs = server.scope.lines(&["ssl_certificate"]);
        let keys = server.scope.lines(&["ssl_certificate_key"]);
        if certs.is_empty() && needed {
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
        let passphrases = server.scope.line("ssl_password_file");
        let passphrases = passphrases.map(|line| self.options.conf_prefix.join(&*line.text(0)));
        let pairs = certs.iter().zip(&keys);
        let files = pairs.map(|(cert, key)| CertificateFiles {
            cert: self.key_file(cert),
            key: self.key_file(key),
            passphrases: passphrases.clone(),
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

const NO_CIPHER: &str =
    "no cipher match (there are ECDHE with AES-GCM and CHACHA20-POLY1305 alone)";
const NO_GROUP: &str = "none of these can be had (there are X25519MLKEM768, SecP256r1MLKEM768, \
                        X25519, prime256v1 and secp384r1)";
