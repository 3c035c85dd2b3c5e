//! Where to listen, and how: the elements of `listen_https` and `listen_http`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use super::address::{ParsedListen, parse_listen};
use super::raw::{Checker, Complaint, Field, Place, Value};
use super::table::{Table, key, read_table};
use super::values::{count, list, parse_duration, text, truth};
use crate::lookup::Lookup;

/// One address to listen on. `:PORT` has been expanded to the v4 and the v6 wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    pub address: ListenAddress,
    pub tls: bool,
    /// A v6 wildcard that came from `:PORT`: skipped with a note on machines without IPv6.
    pub optional: bool,
    pub options: ListenOptions,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    /// Absolute.
    Unix(PathBuf),
}

/// nginx's parameters of `listen` that concern the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// A v6 address takes no v4 connections.
    pub ipv6only: bool,
    /// A socket of its own for every worker, among which the kernel spreads connections; otherwise
    /// one that they share. Sockets in the file system are always shared.
    pub reuseport: bool,
    pub keepalive: Keepalive,
    /// Every connection begins with a PROXY protocol header, which says who the client is.
    pub proxy_protocol: bool,
}

/// Whether the kernel looks after silent peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keepalive {
    Off,
    /// What is `None` is as the system has it.
    On {
        idle: Option<Duration>,
        interval: Option<Duration>,
        probes: Option<u32>,
    },
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 4096,
            ipv6only: true,
            reuseport: true,
            // A peer that vanished without a word (a closed laptop) is found after about five
            // minutes.
            keepalive: Keepalive::On {
                idle: Some(Duration::from_secs(120)),
                interval: Some(Duration::from_secs(20)),
                probes: None,
            },
            proxy_protocol: false,
        }
    }
}

impl ListenAddress {
    /// Stands for one that the system does not tell.
    pub const NOWHERE: Self =
        Self::Tcp(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)));

    /// `None` for a socket in the file system.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// 0 for a socket in the file system.
    pub fn port(&self) -> u16 {
        self.tcp().map_or(0, |address| address.port())
    }

    /// Without the port, as nginx's `$server_addr`.
    pub fn host(&self) -> String {
        match self.tcp() {
            Some(address) => address.ip().to_canonical().to_string(),
            None => self.to_string(),
        }
    }

    /// What `map` has for connections that come here: at the address itself, or else at the wildcard
    /// that takes them.
    pub fn find_in<'m, V>(&self, map: &'m Lookup<Self, V>) -> Option<&'m V> {
        let Self::Tcp(address) = self else { return map.get(self) };
        let (came, ip, port) = (address.ip(), address.ip().to_canonical(), address.port());
        let at = |ip: IpAddr| map.get(&Self::Tcp((ip, port).into()));
        let v4 = || ip.is_ipv4().then(|| at(Ipv4Addr::UNSPECIFIED.into())).flatten();
        // A v4 client of `ipv6only=off` comes in v6's form.
        let v6 = || came.is_ipv6().then(|| at(Ipv6Addr::UNSPECIFIED.into())).flatten();
        at(ip).or_else(v4).or_else(v6)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// As nginx's `so_keepalive` is written.
impl fmt::Display for Keepalive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: &Option<Duration>| {
            time.map(|time| format!("{}s", time.as_secs())).unwrap_or_default()
        };
        match self {
            Self::Off => f.write_str("off"),
            Self::On { idle: None, interval: None, probes: None } => f.write_str("on"),
            Self::On { idle, interval, probes } => {
                let probes = probes.map(|probes| probes.to_string()).unwrap_or_default();
                write!(f, "{}:{}:{probes}", seconds(idle), seconds(interval))
            }
        }
    }
}

/// What one element of a list becomes: more than one for `:PORT`.
pub(crate) type Listeners = Vec<(Place, Listen)>;

pub(crate) fn listeners(field: &Field<'_>, tls: bool, checker: &mut Checker) -> Listeners {
    let mut listeners = Vec::new();
    if let Value::Number(port) = field.node.value {
        checker.wrong_kind(field, format!("write {} = [\":{port}\"]", field.key));
        return listeners;
    }
    for node in list(field, checker).unwrap_or_default() {
        if let Value::Number(port) = node.value {
            checker.wrong_kind(&field.with_text(node), format!("write \":{port}\""));
            continue;
        }
        let mut draft = ListenDraft::default();
        if let Value::Table(_) = node.value {
            let written = read_table(&field.with_node(node), &LISTEN, &mut draft, checker);
            if !written.contains_key("address") {
                let hint = "add address = \":443\"";
                checker.refuse(&node.place, "a listener without its `address`", hint);
            }
        } else {
            let element = field.with_text(node);
            draft.addresses = addresses(&element, checker);
        }
        let options = draft.options;
        for (address, optional) in draft.addresses {
            listeners.push((node.place.clone(), Listen { address, tls, optional, options }));
        }
    }
    listeners
}

#[derive(Debug, Default)]
pub(crate) struct ListenDraft {
    addresses: Vec<ParsedListen>,
    options: ListenOptions,
}

pub(crate) static LISTEN: Table<ListenDraft> = Table {
    title: "`listen_https` and `listen_http`",
    keys: &[
        key("address", "a text such as \":443\"", |draft, field, checker| {
            draft.addresses = addresses(field, checker);
        }),
        key("backlog", "a number", |draft, field, checker| {
            let backlog = count(field, checker, 1, BACKLOG_MAX);
            draft.options.backlog = backlog
                .and_then(|backlog| u32::try_from(backlog).ok())
                .unwrap_or(draft.options.backlog);
        }),
        key("ipv6only", "true or false", |draft, field, checker| {
            draft.options.ipv6only = truth(field, checker).unwrap_or(true);
        }),
        key("reuseport", "true or false", |draft, field, checker| {
            draft.options.reuseport = truth(field, checker).unwrap_or(true);
        }),
        key("so_keepalive", KEEPALIVE, |draft, field, checker| {
            let parsed = match field.node.value {
                Value::Truth(true) => Some(KEEPALIVE_OF_SYSTEM),
                Value::Truth(false) => Some(Keepalive::Off),
                _ => text(field, checker)
                    .and_then(|text| checker.take(&field.node.place, parse_keepalive(text))),
            };
            draft.options.keepalive = parsed.unwrap_or(draft.options.keepalive);
        }),
        key("proxy_protocol", "true or false", |draft, field, checker| {
            draft.options.proxy_protocol = truth(field, checker).unwrap_or(false);
        }),
    ],
};

fn addresses(field: &Field<'_>, checker: &mut Checker) -> Vec<ParsedListen> {
    let Some(text) = text(field, checker) else { return Vec::new() };
    let parsed = parse_listen(text, &checker.base);
    checker.take(&field.node.place, parsed).unwrap_or_default()
}

/// `on`, `off`, or `IDLE:INTERVAL:PROBES`, each of which may be left out.
fn parse_keepalive(text: &str) -> Result<Keepalive, Complaint> {
    match text {
        "on" => return Ok(KEEPALIVE_OF_SYSTEM),
        "off" => return Ok(Keepalive::Off),
        _ => {}
    }
    let complain = |why: &str| Complaint::new(format!("so_keepalive `{text}` {why}"), KEEPALIVE);
    let parts: Vec<&str> = text.split(':').collect();
    let [idle, interval, probes] = parts[..] else {
        return Err(complain("is neither on nor off nor three values"));
    };
    if text == "::" {
        return Err(complain("says nothing"));
    }
    let time = |text: &str| match text {
        "" => Ok(None),
        _ => match parse_duration(text) {
            Ok(time) if (1..=TIME_MAX_SECONDS).contains(&time.as_secs()) => Ok(Some(time)),
            Ok(_) => Err(complain("has a time that is not between 1s and 32767s")),
            Err(complaint) => Err(complaint),
        },
    };
    let probes = match probes {
        "" => None,
        _ => match probes.parse::<u32>() {
            Ok(probes @ 1..=127) => Some(probes),
            _ => return Err(complain("has a number of probes that is not between 1 and 127")),
        },
    };
    Ok(Keepalive::On { idle: time(idle)?, interval: time(interval)?, probes })
}

const KEEPALIVE_OF_SYSTEM: Keepalive = Keepalive::On { idle: None, interval: None, probes: None };
const KEEPALIVE: &str = "\"on\", \"off\" or \"IDLE:INTERVAL:PROBES\", such as \"30m::10\"";
/// What tcp(7) takes.
const TIME_MAX_SECONDS: u64 = 32767;
const BACKLOG_MAX: u64 = 1 << 20;
