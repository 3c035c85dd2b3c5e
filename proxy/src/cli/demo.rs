//! `sheen demo`: where the embedded app is served.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use clap::Args;

use super::entries::{entry, list, listeners, node, one_site, text};
use crate::config::address::resolve_by_system;
use crate::config::check::check;
use crate::config::native::Loaded;
use crate::config::raw::{Checker, Value};
use crate::config::{Dialect, Problem};

/// Try sheen with an embedded app, on this machine only
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// ADDR:PORT [default: 127.0.0.1:8443, or a free port]
    #[arg(long, value_name = "ADDR")]
    listen_https: Option<String>,
    /// ADDR:PORT [default: 127.0.0.1:8080, or a free port]
    #[arg(long, value_name = "ADDR")]
    listen_http: Option<String>,
    /// What was free when first asked: a reload must not find its own ports taken.
    #[arg(skip)]
    defaults: OnceLock<[String; 2]>,
}

impl DemoArgs {
    /// The demo in front of the app at `to`. The warnings say which default port was taken.
    pub fn lower(&self, to: SocketAddr) -> Result<Loaded, Vec<Problem>> {
        let mut notes = Vec::new();
        let [https, http] = self.defaults.get_or_init(|| {
            let mut choose = |flag, given: &Option<String>, default: &str| match given {
                Some(given) => given.clone(),
                None => free_or_any(flag, default, &mut notes),
            };
            [
                choose("--listen-https", &self.listen_https, DEMO_HTTPS),
                choose("--listen-http", &self.listen_http, DEMO_HTTP),
            ]
        });
        let site = vec![
            list("sheen demo", "names", &["localhost", "127.0.0.1", "::1"].map(str::to_owned)),
            text("sheen demo", "to", &to.to_string()),
        ];
        let mut root = vec![entry("sheen demo", "site", one_site(site))];
        root.extend(listeners("--listen-https", "listen_https", std::slice::from_ref(https)));
        root.extend(listeners("--listen-http", "listen_http", std::slice::from_ref(http)));
        let checker = Checker::new(Path::new(""), resolve_by_system);
        let loaded = check(&node("sheen demo", Value::Table(root)), checker)?;
        let mut config = loaded.config;
        config.limits.timeouts.drain = DEMO_DRAIN;
        // That the demo's certificate is a development one is no news.
        Ok(Loaded { config, warnings: notes })
    }
}

/// The default, or any free port, with a note, when it is taken.
fn free_or_any(flag: &str, default: &str, notes: &mut Vec<Problem>) -> String {
    let Err(error) = TcpListener::bind(default) else {
        return default.to_owned();
    };
    notes.push(Problem {
        file: flag.to_owned(),
        line: None,
        what: format!("{default} cannot be used, a free port is taken instead: {error}"),
        hint: Some(format!("choose one with {flag} 127.0.0.1:PORT")),
        dialect: Dialect::Native,
    });
    "127.0.0.1:0".to_owned()
}

const DEMO_HTTPS: &str = "127.0.0.1:8443";
const DEMO_HTTP: &str = "127.0.0.1:8080";
/// Nobody waits for the end of a demo.
const DEMO_DRAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn demo_args(https: Option<&str>, http: Option<&str>) -> DemoArgs {
        DemoArgs {
            listen_https: https.map(str::to_owned),
            listen_http: http.map(str::to_owned),
            defaults: OnceLock::new(),
        }
    }

    #[test]
    fn demo_moves_to_a_free_port_when_its_own_is_taken() {
        let to = SocketAddr::from(([127, 0, 0, 1], 3838));
        // Taken by us or by somebody else: either way not free.
        let _held = TcpListener::bind(DEMO_HTTPS);
        let demo = demo_args(None, Some("127.0.0.1:0"));
        let Loaded { config, warnings } = demo.lower(to).unwrap();
        assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:0");
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].what.starts_with("127.0.0.1:8443 cannot be used"), "{warnings:?}");
        assert_eq!(demo.lower(to).unwrap().config, config, "a reload changes nothing");

        let demo = demo_args(Some("x"), None);
        assert_eq!(demo.lower(to).unwrap_err()[0].file, "--listen-https");
    }
}
