//! What TLS clients are offered at one address.

use std::time::Duration;

use rustls::{CipherSuite, NamedGroup};

use super::{CertificateFiles, Protocols};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub protocols: Protocols,
    /// Suites of TLS 1.2 in order, `ssl_ciphers`; `None`: all that are there.
    pub suites: Option<Box<[CipherSuite]>>,
    /// In order, `ssl_ecdh_curve`; `None`: the defaults.
    pub groups: Option<Box<[NamedGroup]>>,
    /// Our order of suites counts, not the client's: `ssl_prefer_server_ciphers`.
    pub own_order: bool,
    pub tickets: Tickets,
}

/// How long a session can be resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tickets {
    /// Not at all: `ssl_session_tickets off`.
    None,
    /// As long as the keys of tickets are kept.
    Kept,
    /// `ssl_session_timeout`, if that is shorter.
    For(Duration),
}

impl Offer {
    /// What is offered where nothing is said of it in sheen.toml.
    pub fn of(protocols: Protocols) -> Self {
        Self { protocols, suites: None, groups: None, own_order: true, tickets: Tickets::Kept }
    }
}

/// What the pairs of files of one server are called together; empty for none.
pub fn certificate_group(files: &[CertificateFiles]) -> String {
    let names: Vec<_> = files.iter().map(|files| files.cert.to_string_lossy()).collect();
    names.join("\n")
}
