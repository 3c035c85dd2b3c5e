//! The configuration in force as a sheen.toml, every default spelled out: `sheen -T`.

use std::time::Duration;

use serde::Serialize;

use super::values::size_text;
use super::{
    AccessFormat, App, Config, Listen, ListenAddress, ListenOptions, Location, LogTarget,
    PlainHttp, Runtime, Site, UpstreamAddress,
};
use crate::limits::{Limits, Timeouts};

/// A file that lowers to `config` again.
pub fn to_toml(config: &Config) -> String {
    toml::to_string(&File::of(config)).expect("every value has a form in TOML")
}

/// The keys of sheen.toml in their order there.
#[derive(Debug, Serialize)]
struct File<'a> {
    workers: usize,
    runtime: &'static str,
    daemon: bool,
    pid: String,
    user: &'a str,
    group: &'a str,
    listen_https: Vec<Listener>,
    listen_http: Vec<Listener>,
    trusted_proxies: Vec<String>,
    tls: Tls,
    log: Log,
    limits: LimitTable,
    timeouts: TimeoutTable,
    site: Vec<SiteTable<'a>>,
}

/// An address alone, or a table of what is not at its default.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Listener {
    Address(String),
    Table {
        address: String,
        backlog: u32,
        ipv6only: bool,
        reuseport: bool,
        so_keepalive: String,
        proxy_protocol: bool,
    },
}

#[derive(Debug, Serialize)]
struct Tls {
    protocols: Vec<&'static str>,
    ktls: &'static str,
}

#[derive(Debug, Serialize)]
struct Log {
    access: String,
    format: &'static str,
    error: String,
    level: &'static str,
}

#[derive(Debug, Serialize)]
struct LimitTable {
    connections: Count,
    connections_per_address: Count,
    request_head_bytes: String,
    request_target_bytes: String,
    request_fields: usize,
    request_body_bytes: String,
    response_head_bytes: String,
}

/// A number, or a word such as "auto".
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Count {
    Number(u32),
    Word(&'static str),
}

#[derive(Debug, Serialize)]
struct TimeoutTable {
    handshake: String,
    request_head: String,
    request_body: String,
    keep_alive: String,
    upstream_connect: String,
    upstream_answer: String,
    upstream_idle: String,
    send: String,
    tunnel_idle: String,
    drain: String,
}

#[derive(Debug, Serialize)]
struct SiteTable<'a> {
    names: &'a [String],
    certificates: Vec<Pair>,
    hsts: &'a str,
    http: &'static str,
    acme_webroot: String,
    location: Vec<LocationTable<'a>>,
}

#[derive(Debug, Serialize)]
struct Pair {
    cert: String,
    key: String,
}

#[derive(Debug, Serialize)]
struct LocationTable<'a> {
    prefix: &'a str,
    strip_prefix: bool,
    app: &'static str,
    to: String,
}

impl<'a> File<'a> {
    fn of(config: &'a Config) -> Self {
        let protocols = [(config.protocols.tls12, "1.2"), (config.protocols.tls13, "1.3")];
        Self {
            workers: config.workers,
            runtime: match config.runtime {
                Runtime::Auto => "auto",
                Runtime::Exactly(rung) => rung.word(),
            },
            daemon: config.process.daemon,
            pid: match &config.process.pid {
                Some(file) => file.display().to_string(),
                None => "off".to_owned(),
            },
            user: config.process.user.as_ref().map_or("off", |user| &user.name),
            group: config
                .process
                .user
                .as_ref()
                .and_then(|user| user.group.as_deref())
                .unwrap_or("off"),
            listen_https: addresses(config, true),
            listen_http: addresses(config, false),
            trusted_proxies: config.trusted_proxies.iter().map(ToString::to_string).collect(),
            tls: Tls {
                protocols: protocols.iter().filter(|(on, _)| *on).map(|(_, word)| *word).collect(),
                ktls: config.ktls.word(),
            },
            log: Log {
                access: config.log.access.first().map_or("off".to_owned(), target),
                format: match config.log.format {
                    AccessFormat::Combined => "combined",
                    AccessFormat::Json => "json",
                },
                error: target(&config.log.error),
                level: config.log.level.word(),
            },
            limits: LimitTable::of(&config.limits),
            timeouts: TimeoutTable::of(&config.limits.timeouts),
            site: config.sites.iter().map(SiteTable::of).collect(),
        }
    }
}

impl LimitTable {
    fn of(limits: &Limits) -> Self {
        let size = |bytes: usize| size_text(bytes as u64);
        Self {
            connections: count(limits.connections_max),
            connections_per_address: count(limits.connections_per_address_max),
            request_head_bytes: size(limits.request_head_bytes_max),
            request_target_bytes: size(limits.request_target_bytes_max),
            request_fields: limits.request_fields_max,
            request_body_bytes: limits.request_body_bytes_max.map_or("off".to_owned(), size_text),
            response_head_bytes: size(limits.response_head_bytes_max),
        }
    }
}

impl TimeoutTable {
    fn of(timeouts: &Timeouts) -> Self {
        Self {
            handshake: duration(timeouts.handshake),
            request_head: duration(timeouts.request_head),
            request_body: duration(timeouts.request_body),
            keep_alive: duration(timeouts.keep_alive),
            upstream_connect: duration(timeouts.upstream_connect),
            upstream_answer: duration(timeouts.upstream_answer),
            upstream_idle: duration(timeouts.upstream_idle),
            send: duration(timeouts.send),
            tunnel_idle: duration(timeouts.tunnel_idle),
            drain: duration(timeouts.drain),
        }
    }
}

impl<'a> SiteTable<'a> {
    fn of(site: &'a Site) -> Self {
        let pair = |files: &super::CertificateFiles| Pair {
            cert: files.cert.display().to_string(),
            key: files.key.display().to_string(),
        };
        Self {
            names: &site.names,
            certificates: site.certificates.iter().map(pair).collect(),
            hsts: site.hsts.as_deref().unwrap_or("off"),
            http: match site.http {
                PlainHttp::Redirect301 => "redirect",
                PlainHttp::Redirect308 => "redirect-308",
                PlainHttp::Proxy => "proxy",
            },
            acme_webroot: match &site.acme_webroot {
                Some(folder) => folder.display().to_string(),
                None => "off".to_owned(),
            },
            location: site.locations.iter().map(LocationTable::of).collect(),
        }
    }
}

impl<'a> LocationTable<'a> {
    fn of(location: &'a Location) -> Self {
        let to = match &location.upstream.addresses[..] {
            // As an absolute path, wherever the dump is put.
            [unix @ UpstreamAddress::Unix(_), ..] => unix.to_string(),
            _ => location.upstream.name.clone(),
        };
        let app = match location.app {
            App::Shiny => "shiny",
            App::Workbench => "workbench",
            App::Connect => "connect",
        };
        Self { prefix: &location.prefix, strip_prefix: location.strip_prefix, app, to }
    }
}

/// The two wildcards of a `:PORT` become one again.
fn addresses(config: &Config, tls: bool) -> Vec<Listener> {
    let listeners = || config.listeners.iter().filter(|listen| listen.tls == tls);
    let port = |listen: &Listen| listen.address.tcp().map(|address| address.port());
    let is_pair = |v4: &Listen| {
        listeners().any(|v6| v6.optional && port(v6) == port(v4))
            && v4.address.tcp().is_some_and(|address| address.ip().is_unspecified())
    };
    let text = |listen: &Listen| {
        let address = match &listen.address {
            ListenAddress::Tcp(address) if is_pair(listen) => format!(":{}", address.port()),
            address => address.to_string(),
        };
        let ListenOptions { backlog, ipv6only, reuseport, keepalive, proxy_protocol } =
            listen.options;
        if listen.options == ListenOptions::default() {
            return Listener::Address(address);
        }
        let so_keepalive = keepalive.to_string();
        Listener::Table { address, backlog, ipv6only, reuseport, so_keepalive, proxy_protocol }
    };
    listeners().filter(|listen| !listen.optional).map(text).collect()
}

fn target(target: &LogTarget) -> String {
    match target {
        LogTarget::Stdout => "stdout".to_owned(),
        LogTarget::Stderr => "stderr".to_owned(),
        LogTarget::File(path) => path.display().to_string(),
        LogTarget::Syslog(syslog) => format!("syslog:server={}", syslog.server),
    }
}

fn count(count: Option<u32>) -> Count {
    match count {
        None => Count::Word("auto"),
        Some(u32::MAX) => Count::Word("off"),
        Some(number) => Count::Number(number),
    }
}

/// In the largest unit that needs no fraction.
fn duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, unit_ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms != 0 && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::super::native;
    use super::*;

    #[test]
    fn a_dump_is_the_same_configuration() {
        let example = include_str!("../../example.toml");
        let other = r#"
            workers = 3
            runtime = "epoll"
            daemon = true
            pid = "/run/x.pid"
            user = "www-data"
            group = "adm"
            listen_https = ["127.0.0.1:8443", ":444", "[::1]:9", { address = ":445", backlog = 9 }]
            listen_http = [
                { address = "unix:/run/x", so_keepalive = "30s::5", proxy_protocol = true },
                { address = "[::]:80", ipv6only = false, reuseport = false, so_keepalive = "off" },
            ]
            trusted_proxies = ["10.0.0.0/8", "::1"]
            tls = { protocols = ["1.3"], ktls = "auto" }
            log = { access = "/var/log/a.log", format = "json", error = "stdout", level = "debug" }
            limits = { connections = 7, connections_per_address = "off", request_body_bytes = "5m" }
            timeouts = { handshake = "1500ms", tunnel_idle = "20d", drain = "0s" }
            [[site]]
            names = ["a.example", "*.b.example"]
            hsts = "max-age=1"
            http = "redirect-308"
            [[site.location]]
            prefix = "/"
            to = ":3838"
            [[site.location]]
            prefix = "/x/"
            strip_prefix = true
            app = "connect"
            to = "unix:/run/x.sock"
        "#;
        for text in [example, other] {
            let config = native::parse(text, "t").expect("it is right").config;
            let dump = to_toml(&config);
            let again = native::parse(&dump, "dump");
            assert_eq!(again.map(|loaded| loaded.config), Ok(config), "{dump}");
        }
    }
}
