//! Running sheen on an nginx.conf. [`crate::both`] runs the real nginx beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::pki::{self, KeyKind};
use crate::port;
use crate::sheen::{Setup, Sheen};

/// A running sheen with a configuration in nginx's language.
#[derive(Debug)]
pub struct Running {
    pub sheen: Sheen,
    pub http: SocketAddr,
    pub https: SocketAddr,
}

impl Running {
    /// Runs `http`, the inside of an http block in which `HTTP_PORT` and `HTTPS` stand for ports and
    /// `ROOT` for its folder, where `site.crt` and `site.key` are for `names`.
    pub fn start(http: &str, names: &[&str]) -> Self {
        Self::start_with(http, names, &[])
    }

    /// The same with further arguments.
    pub fn start_with(http: &str, names: &[&str], further: &[&str]) -> Self {
        Self::prepared(http, names, further, |_| {})
    }

    /// The same after `prepare` has put into the folder what it likes.
    pub fn prepared(
        http: &str,
        names: &[&str],
        further: &[&str],
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let dir = TempDir::new().unwrap();
        prepare(dir.path());
        pki::issue(names, KeyKind::Ecdsa).write(dir.path(), "site");
        Self::start_in(dir, &whole(http), further)
    }

    /// Runs a whole file with the same words in it, in a folder that is ready, with further
    /// arguments.
    pub fn start_in(dir: TempDir, text: &str, arguments: &[&str]) -> Self {
        let (plain, secure) = (port::free(), port::free());
        let path = write_whole(dir.path(), text, plain, secure);
        let setup = Setup::to_address("");
        let sheen = Sheen::spawn(setup, dir, &[&["-c", &path], arguments].concat());
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { sheen, http: address(plain), https: address(secure) }
    }

    /// Over plain HTTP, on a connection of its own.
    pub fn get(&self, host: &str, target: &str) -> Answer {
        Client::plain(self.http).get(host, target)
    }

    /// Over TLS.
    pub fn get_tls(&self, host: &str, target: &str) -> Answer {
        Client::tls(self.https, host).get(host, target)
    }
}

/// Writes the configuration around the inside of an http block; its path.
pub fn write(dir: &Path, http: &str, plain: u16, secure: u16) -> String {
    write_whole(dir, &whole(http), plain, secure)
}

fn whole(http: &str) -> String {
    format!(
        "worker_processes 1; daemon off;\nevents {{ worker_connections 64; }}\nhttp {{\n{http}\n}}\n"
    )
}

fn write_whole(dir: &Path, text: &str, plain: u16, secure: u16) -> String {
    let text = text
        .replace("HTTPS", &secure.to_string())
        .replace("HTTP_PORT", &plain.to_string())
        .replace("ROOT", &dir.display().to_string());
    let path = dir.join("nginx.conf");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}
