//! `sheen proxy`: options in the place of a configuration file.

use std::path::Path;

use clap::Args;

use super::entries::{entry, list, listeners, node, one_site, place, text};
use crate::config::Problem;
use crate::config::address::resolve_by_system;
use crate::config::check::check;
use crate::config::native::Loaded;
use crate::config::raw::{Checker, Entry, Value};

/// Put HTTPS in front of one app, without a configuration file
#[derive(Debug, Args)]
pub struct ProxyArgs {
    /// Server name to answer for, "shiny.example.com" or "*.example.com"; without it any name
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    from: Vec<String>,
    /// The app: HOST:PORT, :PORT or unix:/path
    #[arg(long, value_name = "ADDR")]
    to: String,
    /// Certificate with its chain, PEM; without it a development certificate
    #[arg(long, value_name = "FILE")]
    cert: Vec<String>,
    /// Key of the --cert at the same place
    #[arg(long, value_name = "FILE")]
    key: Vec<String>,
    /// ADDR:PORT, :PORT for all addresses, or off [default: :443]
    #[arg(long, value_name = "ADDR")]
    listen_https: Vec<String>,
    /// ADDR:PORT, :PORT for all addresses, or off [default: :80]
    #[arg(long, value_name = "ADDR")]
    listen_http: Vec<String>,
    /// What plain HTTP does: redirect, redirect-308 or proxy [default: redirect]
    #[arg(long, value_name = "WORD")]
    http: Option<String>,
    /// Strict-Transport-Security, "max-age=63072000" [default: off]
    #[arg(long, value_name = "VALUE")]
    hsts: Option<String>,
    /// Kind of app: shiny, workbench or connect [default: shiny]
    #[arg(long, value_name = "WORD")]
    app: Option<String>,
    /// Threads [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<String>,
    /// auto, defer_taskrun, coop_taskrun, io_uring or epoll [default: auto]
    #[arg(long, value_name = "WORD")]
    runtime: Option<String>,
    /// TLS of large answers by the kernel: off, auto or on [default: off]
    #[arg(long, value_name = "WORD")]
    ktls: Option<String>,
    /// stdout, stderr, off or a file [default: stdout]
    #[arg(long, value_name = "TARGET")]
    access_log: Option<String>,
    /// combined or json [default: combined]
    #[arg(long, value_name = "WORD")]
    log_format: Option<String>,
    /// Folder whose .well-known/acme-challenge/ is served on plain HTTP
    #[arg(long, value_name = "DIR")]
    acme_webroot: Option<String>,
    /// Address or network of a proxy in front whose X-Forwarded-For is believed
    #[arg(long, value_name = "NET", value_delimiter = ',')]
    trusted_proxy: Vec<String>,
}

impl ProxyArgs {
    /// Checks the options as a configuration file would be; problems name the option.
    pub fn lower(&self) -> Result<Loaded, Vec<Problem>> {
        let mut checker = Checker::new(Path::new(""), resolve_by_system);
        let mut site = vec![text("--to", "to", &self.to)];
        if !self.from.is_empty() {
            site.push(list("--from", "names", &self.from));
        }
        site.extend(self.hsts.as_ref().map(|value| text("--hsts", "hsts", value)));
        site.extend(self.app.as_ref().map(|value| text("--app", "app", value)));
        site.extend(self.http.as_ref().map(|value| text("--http", "http", value)));
        let webroot = self.acme_webroot.as_ref();
        site.extend(webroot.map(|value| text("--acme-webroot", "acme_webroot", value)));
        site.extend(self.certificates(&mut checker));

        let mut log = Vec::new();
        log.extend(self.access_log.as_ref().map(|value| text("--access-log", "access", value)));
        log.extend(self.log_format.as_ref().map(|value| text("--log-format", "format", value)));

        let mut root = Vec::new();
        root.extend(listeners("--listen-https", "listen_https", &self.listen_https));
        root.extend(listeners("--listen-http", "listen_http", &self.listen_http));
        if !self.trusted_proxy.is_empty() {
            root.push(list("--trusted-proxy", "trusted_proxies", &self.trusted_proxy));
        }
        root.extend(self.runtime.as_ref().map(|value| text("--runtime", "runtime", value)));
        root.extend(self.workers.as_ref().map(|value| match value.parse() {
            Ok(number) => entry("--workers", "workers", Value::Number(number)),
            Err(_) => text("--workers", "workers", value),
        }));
        if let Some(value) = &self.ktls {
            root.push(entry("--ktls", "tls", Value::Table(vec![text("--ktls", "ktls", value)])));
        }
        root.push(entry("sheen proxy", "log", Value::Table(log)));
        root.push(entry("sheen proxy", "site", one_site(site)));
        check(&node("sheen proxy", Value::Table(root)), checker)
    }

    fn certificates(&self, checker: &mut Checker) -> Option<Entry> {
        let (certs, keys) = (self.cert.len(), self.key.len());
        if certs != keys {
            let flag = if certs > keys { "--cert" } else { "--key" };
            checker.refuse(
                &place(flag),
                format!("{certs} --cert and {keys} --key: they come in pairs"),
                "give each --cert FILE its --key FILE; when one file holds both, name it twice",
            );
            return None;
        }
        if certs == 0 {
            return None;
        }
        let pairs = self.cert.iter().zip(&self.key).map(|(cert, key)| {
            let pair = vec![text("--cert", "cert", cert), text("--key", "key", key)];
            node("--cert", Value::Table(pair))
        });
        Some(entry("--cert", "certificates", Value::List(pairs.collect())))
    }
}
