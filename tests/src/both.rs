//! One configuration run by the real nginx and by sheen, side by side.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use crate::client::Client;
use crate::nginx::{self, Nginx};
use crate::nginx_conf::Running;
use crate::pki::{self, KeyKind};
use crate::port;
use crate::wait;

/// Both of them.
#[derive(Debug)]
pub struct Both {
    pub nginx: Nginx,
    pub sheen: Running,
    nginx_https: SocketAddr,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub struct Side<'b> {
    pub name: &'static str,
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// What `ROOT` stands for.
    pub folder: &'b Path,
}

impl Both {
    /// Runs the inside of an http block as [`Running::start`] does. `None`: there is no nginx on
    /// this machine.
    pub fn start(http: &str, names: &[&str]) -> Option<Self> {
        if !nginx::is_installed() {
            eprintln!("skipped: there is no nginx on this machine");
            return None;
        }
        let https = SocketAddr::from(([127, 0, 0, 1], port::free()));
        let identity = pki::issue(names, KeyKind::Ecdsa);
        let theirs = http.replace("HTTPS", &https.port().to_string()).replace("HTTP_PORT", "PORT");
        let files = [("site.crt", &*identity.chain_pem), ("site.key", &*identity.key_pem)];
        let nginx = Nginx::start(&theirs, &files);
        let sheen = Running::start(http, names);
        Some(Self { nginx, sheen, nginx_https: https })
    }

    pub fn nginx(&self) -> Side<'_> {
        Side {
            name: "nginx",
            http: ([127, 0, 0, 1], self.nginx.port).into(),
            https: self.nginx_https,
            folder: self.nginx.folder(),
        }
    }

    pub fn sheen(&self) -> Side<'_> {
        Side {
            name: "sheen",
            http: self.sheen.http,
            https: self.sheen.https,
            folder: self.sheen.sheen.dir.path(),
        }
    }

    /// The real one first.
    pub fn sides(&self) -> [Side<'_>; 2] {
        [self.nginx(), self.sheen()]
    }
}

impl Side<'_> {
    pub fn plain(&self) -> Client {
        Client::plain(self.http)
    }

    /// Ports and folder under the names that they have in the configuration.
    pub fn neutral(&self, text: &str) -> String {
        text.replace(&self.https.port().to_string(), "HTTPS")
            .replace(&self.http.port().to_string(), "HTTP_PORT")
            .replace(&self.folder.display().to_string(), "ROOT")
    }

    /// The first line of a log that begins with `start`, once it is there.
    pub fn log_line(&self, name: &str, start: &str) -> String {
        let mut line = None;
        wait::until(&format!("{start} in {name} of {}", self.name), || {
            let text = fs::read(self.folder.join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            line = whole.lines().find(|line| line.starts_with(start)).map(str::to_owned);
            line.is_some()
        });
        line.unwrap_or_default()
    }
}
