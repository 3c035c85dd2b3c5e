//! Addresses as nginx reads them: `listen`, `server` in `upstream`, and the URL of `proxy_pass`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::lex::Word;
use super::values;
use crate::config::Keepalive;
use crate::config::address::UNIX_PATH_BYTES_MAX;
use crate::route::access::ipv4;

/// One `listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: ListenAddress,
    /// More than one for `8000-8010`.
    pub ports: RangeInclusive<u16>,
    pub default_server: bool,
    pub ssl: bool,
    pub http2: bool,
    pub quic: bool,
    pub proxy_protocol: bool,
    pub ipv6only: Option<bool>,
    pub reuseport: bool,
    pub deferred: bool,
    pub bind: bool,
    pub backlog: Option<u32>,
    pub receive_buffer: Option<u64>,
    pub send_buffer: Option<u64>,
    pub fast_open: Option<u32>,
    pub so_keepalive: Option<Keepalive>,
}

/// Where to listen, without the port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// The wildcards among them; `*` and a port alone are `0.0.0.0`.
    Ip(IpAddr),
    /// A name that is still to be resolved.
    Host(String),
    /// A path, as written.
    Unix(String),
}

/// Reads the arguments of `listen`; what is wrong is said as nginx says it.
pub fn listen(arguments: &[Word]) -> Result<Listen, String> {
    let text = |word: &Word| String::from_utf8_lossy(&word.bytes).into_owned();
    let Some((first, parameters)) = arguments.split_first() else {
        return Err("no host in \"\" of the \"listen\" directive".to_owned());
    };
    let written = text(first);
    let (address, ports) = listen_address(&written)
        .map_err(|what| format!("{what} in \"{written}\" of the \"listen\" directive"))?;
    let mut listen = Listen {
        address,
        ports,
        default_server: false,
        ssl: false,
        http2: false,
        quic: false,
        proxy_protocol: false,
        ipv6only: None,
        reuseport: false,
        deferred: false,
        bind: false,
        backlog: None,
        receive_buffer: None,
        send_buffer: None,
        fast_open: None,
        so_keepalive: None,
    };
    for parameter in parameters {
        listen.take(&text(parameter))?;
    }
    Ok(listen)
}

impl Listen {
    /// True exactly when it says something of the socket, which one line of an address may.
    pub fn has_options(&self) -> bool {
        self.bind
            || self.reuseport
            || self.deferred
            || self.ipv6only.is_some()
            || self.backlog.is_some()
            || self.receive_buffer.is_some()
            || self.send_buffer.is_some()
            || self.fast_open.is_some()
            || self.so_keepalive.is_some()
    }

    /// The parameters that nothing follows from.
    pub fn idle(&self) -> impl Iterator<Item = &'static str> {
        let stands = [
            ("deferred", self.deferred),
            ("rcvbuf", self.receive_buffer.is_some()),
            ("sndbuf", self.send_buffer.is_some()),
            ("fastopen", self.fast_open.is_some()),
        ];
        stands.into_iter().filter(|(_, stands)| *stands).map(|(name, _)| name)
    }

    fn take(&mut self, parameter: &str) -> Result<(), String> {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (parameter, None),
        };
        let invalid = || format!("invalid parameter \"{parameter}\"");
        let wrong = |name: &str| format!("invalid {name} \"{parameter}\"");
        match (name, value) {
            ("default_server" | "default", None) => self.default_server = true,
            ("ssl", None) => self.ssl = true,
            // What came before it is taken for it, as nginx did for a while.
            ("http2" | "spdy", None) => self.http2 = true,
            ("quic", None) => self.quic = true,
            ("proxy_protocol", None) => self.proxy_protocol = true,
            ("reuseport", None) => self.reuseport = true,
            ("deferred", None) => self.deferred = true,
            ("bind", None) => self.bind = true,
            ("backlog", Some(value)) => {
                let number = count(value).filter(|number| *number > 0);
                self.backlog = Some(number.ok_or_else(|| wrong("backlog"))?);
            }
            ("fastopen", Some(value)) => {
                self.fast_open = Some(count(value).ok_or_else(|| wrong("fastopen"))?);
            }
            ("rcvbuf", Some(value)) => {
                let size = values::size(value.as_bytes());
                self.receive_buffer = Some(size.ok_or_else(|| wrong("rcvbuf"))?);
            }
            ("sndbuf", Some(value)) => {
                let size = values::size(value.as_bytes());
                self.send_buffer = Some(size.ok_or_else(|| wrong("sndbuf"))?);
            }
            ("ipv6only", Some("on")) => self.ipv6only = Some(true),
            ("ipv6only", Some("off")) => self.ipv6only = Some(false),
            ("so_keepalive", Some(value)) => {
                let keep_alive = values::keepalive(value);
                let wrong = || format!("invalid so_keepalive value: \"{value}\"");
                self.so_keepalive = Some(keep_alive.ok_or_else(wrong)?);
            }
            // Of other systems; nginx on Linux takes the first and says that it means nothing.
            ("accept_filter", Some(_)) => {}
            _ => return Err(invalid()),
        }
        Ok(())
    }
}

fn count(text: &str) -> Option<u32> {
    values::number(text.as_bytes()).and_then(|number| u32::try_from(number).ok())
}

fn listen_address(text: &str) -> Result<(ListenAddress, RangeInclusive<u16>), &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok((ListenAddress::Unix(unix_path(path)?), 0..=0));
    }
    if text.contains(['/', '?']) {
        return Err("invalid host");
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = bracketed(rest)?;
        let ports = port.map_or(Ok(80..=80), port_range)?;
        return Ok((ListenAddress::Ip(ip.into()), ports));
    }
    let (host, ports) = match text.split_once(':') {
        Some((host, port)) => (host, port_range(port)?),
        // Nothing but digits is a port, also one that is out of range.
        None if text.starts_with(|first: char| first.is_ascii_digit()) && is_ports(text) => {
            ("*", port_range(text)?)
        }
        None => (text, 80..=80),
    };
    let address = match host {
        "" => return Err("no host"),
        "*" => ListenAddress::Ip(Ipv4Addr::UNSPECIFIED.into()),
        host => match ipv4(host) {
            Some(ip) => ListenAddress::Ip(ip.into()),
            None if !is_host(host) => return Err(HOST_NOT_FOUND),
            None => ListenAddress::Host(host.to_owned()),
        },
    };
    Ok((address, ports))
}

/// True exactly when a resolver could know the name.
fn is_host(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

fn is_ports(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// What follows the opening bracket: an address and, after a colon, a port.
fn bracketed(rest: &str) -> Result<(Ipv6Addr, Option<&str>), &'static str> {
    let (address, rest) = rest.split_once(']').ok_or("invalid host")?;
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port),
        None if rest.is_empty() => None,
        None => return Err("invalid host"),
    };
    if let Some(port) = port {
        port_range(port)?;
    }
    address.parse().map(|ip| (ip, port)).map_err(|_| "invalid IPv6 address")
}

fn port_range(text: &str) -> Result<RangeInclusive<u16>, &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if first > last { Err("invalid port range") } else { Ok(first..=last) }
}

fn port(text: &str) -> Result<u16, &'static str> {
    let number = values::number(text.as_bytes()).and_then(|number| u16::try_from(number).ok());
    number.filter(|port| *port != 0).ok_or("invalid port")
}

/// Where requests go: the address of `proxy_pass` and of `server` in `upstream`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    Ip {
        ip: IpAddr,
        /// As written.
        port: Option<u16>,
    },
    /// A host, or the name of an `upstream`.
    Host {
        name: String,
        /// As written.
        port: Option<u16>,
    },
    /// A path, as written.
    Unix(String),
}

/// The URL of `proxy_pass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Url {
    /// It has variables and is told apart anew for each request.
    Variable,
    Fixed {
        https: bool,
        target: Target,
        /// As written after the host: `/x`, also `?x`; `None` and `Some("")` differ to nobody.
        uri: Option<String>,
        /// The target as written, for `$proxy_host`.
        host: String,
    },
}

/// Takes the URL of `proxy_pass` apart; what is wrong is said as nginx says it.
pub fn url(text: &str) -> Result<Url, String> {
    if text.contains('$') {
        return Ok(Url::Variable);
    }
    let after = |scheme: &str| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let (https, rest) = match (after("http://"), after("https://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err("invalid URL prefix".to_owned()),
    };
    // A socket's path has slashes of its own and ends with a colon.
    let end = match rest.strip_prefix("unix:") {
        Some(path) => path.find(':').map_or(rest.len(), |end| "unix:".len() + end),
        None => rest.find(['/', '?']).unwrap_or(rest.len()),
    };
    let (host, uri) = rest.split_at(end);
    let uri = uri.strip_prefix(':').unwrap_or(uri);
    let target = target(host).map_err(|what| match what {
        HOST_NOT_FOUND => format!("{what} in upstream \"{}\"", without_port(host)),
        _ => format!("{what} in upstream \"{rest}\""),
    })?;
    Ok(Url::Fixed {
        https,
        target,
        uri: (!uri.is_empty()).then(|| uri.to_owned()),
        host: host.to_owned(),
    })
}

/// An address with a port or without; what is wrong is said as nginx says it.
pub(super) fn target(text: &str) -> Result<Target, &'static str> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Target::Unix(unix_path(path)?));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, written) = bracketed(rest)?;
        return Ok(Target::Ip { ip: ip.into(), port: written.map(port).transpose()? });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, written)) => (host, Some(port(written)?)),
        None => (text, None),
    };
    if host.is_empty() {
        return Err("no host");
    }
    Ok(match ipv4(host) {
        Some(ip) => Target::Ip { ip: ip.into(), port },
        None if !is_host(host) => return Err(HOST_NOT_FOUND),
        None => Target::Host { name: host.to_owned(), port },
    })
}

/// One `server` of an `upstream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub target: Target,
    pub weight: u32,
    pub max_conns: u32,
    pub max_fails: u32,
    pub fail_timeout: Duration,
    pub backup: bool,
    pub down: bool,
    /// Resolved anew while running.
    pub resolve: bool,
}

/// Reads the arguments of `server` in `upstream`; what is wrong is said as nginx says it.
pub fn member(arguments: &[Word]) -> Result<Member, String> {
    let text = |word: &Word| String::from_utf8_lossy(&word.bytes).into_owned();
    let Some((first, parameters)) = arguments.split_first() else {
        return Err("no host in upstream \"\"".to_owned());
    };
    let written = text(first);
    let in_upstream = |what: &str| format!("{what} in upstream \"{written}\"");
    if !written.starts_with("unix:") && written.contains(['/', '?']) {
        return Err(in_upstream("invalid host"));
    }
    let mut member = Member {
        target: target(&written).map_err(in_upstream)?,
        weight: 1,
        max_conns: 0,
        max_fails: 1,
        fail_timeout: Duration::from_secs(10),
        backup: false,
        down: false,
        resolve: false,
    };
    for parameter in parameters {
        let parameter = text(parameter);
        let invalid = || format!("invalid parameter \"{parameter}\"");
        let (name, value) = parameter.split_once('=').unwrap_or((&parameter, ""));
        match (name, parameter.contains('=')) {
            ("weight", true) => {
                member.weight = count(value).filter(|weight| *weight > 0).ok_or_else(invalid)?;
            }
            ("max_conns", true) => member.max_conns = count(value).ok_or_else(invalid)?,
            ("max_fails", true) => member.max_fails = count(value).ok_or_else(invalid)?,
            ("fail_timeout", true) => {
                member.fail_timeout = values::seconds(value.as_bytes()).ok_or_else(invalid)?;
            }
            ("backup", false) => member.backup = true,
            ("down", false) => member.down = true,
            ("resolve", false) => member.resolve = true,
            _ => return Err(invalid()),
        }
    }
    Ok(member)
}

fn unix_path(path: &str) -> Result<String, &'static str> {
    match path.len() {
        0 => Err("no path in the unix domain socket"),
        1..=UNIX_PATH_BYTES_MAX => Ok(path.to_owned()),
        _ => Err("too long path in the unix domain socket"),
    }
}

fn without_port(host: &str) -> &str {
    host.split(':').next().unwrap_or_default()
}

const HOST_NOT_FOUND: &str = "host not found";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        text.split(' ').map(|word| Word { bytes: word.into(), line: 1 }).collect()
    }

    fn heard(text: &str) -> Listen {
        listen(&words(text)).unwrap_or_else(|what| panic!("{text}: {what}"))
    }

    #[test]
    fn listen_takes_every_form_of_an_address() {
        let any = ListenAddress::Ip(Ipv4Addr::UNSPECIFIED.into());
        let any6 = ListenAddress::Ip(Ipv6Addr::UNSPECIFIED.into());
        let local = ListenAddress::Ip(Ipv4Addr::LOCALHOST.into());
        for (text, address, ports) in [
            ("80", any.clone(), 80..=80),
            ("8000-8010", any.clone(), 8000..=8010),
            ("*:81", any.clone(), 81..=81),
            ("*", any, 80..=80),
            ("127.0.0.1", local.clone(), 80..=80),
            ("127.0.0.1:443", local, 443..=443),
            ("[::]", any6.clone(), 80..=80),
            ("[::]:443", any6, 443..=443),
            ("localhost:8080", ListenAddress::Host("localhost".to_owned()), 8080..=8080),
            ("80x", ListenAddress::Host("80x".to_owned()), 80..=80),
            ("unix:/run/x.sock", ListenAddress::Unix("/run/x.sock".to_owned()), 0..=0),
        ] {
            let listen = heard(text);
            assert_eq!((listen.address, listen.ports), (address, ports), "{text}");
        }
    }

    #[test]
    fn listen_takes_every_parameter() {
        let listen = heard(
            "443 ssl http2 default_server proxy_protocol reuseport deferred bind backlog=511 \
             rcvbuf=8k sndbuf=1m fastopen=3 ipv6only=off so_keepalive=30m::10",
        );
        assert!(listen.ssl && listen.http2 && listen.default_server && listen.proxy_protocol);
        assert!(heard("443 ssl spdy").http2);
        assert!(listen.reuseport && listen.deferred && listen.bind && !listen.quic);
        assert_eq!((listen.backlog, listen.fast_open), (Some(511), Some(3)));
        assert_eq!((listen.receive_buffer, listen.send_buffer), (Some(8192), Some(1 << 20)));
        assert_eq!(listen.ipv6only, Some(false));
        let idle = Some(Duration::from_secs(1800));
        let probes = Keepalive::On { idle, interval: None, probes: Some(10) };
        assert_eq!(listen.so_keepalive, Some(probes));
        let of_system = Keepalive::On { idle: None, interval: None, probes: None };
        assert_eq!(heard("80 so_keepalive=on").so_keepalive, Some(of_system));
        assert!(heard("443 quic default").quic);
        assert!(
            listen.has_options() && !heard("80 ssl http2 default proxy_protocol").has_options()
        );
    }

    fn whole(text: &str) -> (bool, Target, Option<String>) {
        match url(text).unwrap() {
            Url::Fixed { https, target, uri, .. } => (https, target, uri),
            Url::Variable => panic!("{text} has no variables"),
        }
    }

    #[test]
    fn urls_come_apart() {
        let host = |name: &str, port| Target::Host { name: name.to_owned(), port };
        for (text, https, target, uri) in [
            ("http://localhost:3838", false, host("localhost", Some(3838)), None),
            ("http://shiny", false, host("shiny", None), None),
            ("https://a/", true, host("a", None), Some("/")),
            ("HTTP://a:1/b?c", false, host("a", Some(1)), Some("/b?c")),
            ("http://a?b", false, host("a", None), Some("?b")),
            ("http://unix:/run/x", false, Target::Unix("/run/x".to_owned()), None),
            ("http://unix:/run/x:/y/z", false, Target::Unix("/run/x".to_owned()), Some("/y/z")),
            (
                "http://[::1]:80/x",
                false,
                Target::Ip { ip: Ipv6Addr::LOCALHOST.into(), port: Some(80) },
                Some("/x"),
            ),
        ] {
            assert_eq!(whole(text), (https, target, uri.map(str::to_owned)), "{text}");
        }
        assert_eq!(url("http://$host/x"), Ok(Url::Variable));
    }

    #[test]
    fn members_have_the_defaults_of_nginx() {
        let plain = member(&words("127.0.0.1:3838")).unwrap();
        assert_eq!((plain.weight, plain.max_fails), (1, 1));
        assert_eq!(plain.fail_timeout, Duration::from_secs(10));
        let full = "a weight=3 max_conns=4 max_fails=0 fail_timeout=1m backup down resolve";
        let full = member(&words(full)).unwrap();
        assert_eq!((full.weight, full.max_conns, full.max_fails), (3, 4, 0));
        assert!(full.backup && full.down && full.resolve);
        assert_eq!(full.fail_timeout, Duration::from_secs(60));
    }
}
