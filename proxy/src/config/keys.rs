//! The keys of sheen.toml, one table each: name, what is expected, how it is read into a draft.

use std::collections::HashMap;
use std::path::PathBuf;

use ipnet::IpNet;

use super::address::{ListenAddress, parse_listen, parse_network, parse_upstream};
use super::names::{parse_hsts, parse_name, parse_prefix};
use super::raw::{Checker, Entry, Field, Node, Place, Value};
use super::values::{
    count, duration, duration_or_zero, is_word, list, nearest, path, size, text, truth, word,
};
use super::{
    AccessFormat, App, CertificateFiles, Level, LogConfig, LogTarget, PlainHttp, Protocols, Rung,
    Runtime, Upstream,
};
use crate::limits::{self, Limits, Timeouts};

/// A key whose absence is itself checked.
#[derive(Debug, Default)]
pub(crate) enum Given<T> {
    #[default]
    Missing,
    /// Written, but wrong, which has been reported.
    Wrong,
    Right(T),
}

/// Where each key of one table was written.
pub(crate) type Written = HashMap<&'static str, Place>;

/// A whole file, each value right in itself.
#[derive(Debug)]
pub(crate) struct Draft {
    /// `None`: auto.
    pub(crate) workers: Option<usize>,
    pub(crate) runtime: Runtime,
    pub(crate) https: Vec<(Place, ListenAddress)>,
    pub(crate) http: Vec<(Place, ListenAddress)>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) protocols: Protocols,
    pub(crate) log: LogConfig,
    pub(crate) limits: Limits,
    pub(crate) limits_written: Written,
    pub(crate) timeouts_written: Written,
    pub(crate) sites: Vec<SiteDraft>,
    /// True exactly when `site` is written, right or wrong.
    pub(crate) sites_written: bool,
}

#[derive(Debug)]
pub(crate) struct SiteDraft {
    pub(crate) place: Place,
    pub(crate) written: Written,
    pub(crate) names: Vec<(Place, String)>,
    pub(crate) certificates: Vec<CertificateFiles>,
    pub(crate) app: App,
    pub(crate) hsts: Option<String>,
    pub(crate) http: PlainHttp,
    pub(crate) acme_webroot: Option<PathBuf>,
    pub(crate) to: Given<Upstream>,
    pub(crate) locations: Vec<LocationDraft>,
}

#[derive(Debug)]
pub(crate) struct LocationDraft {
    pub(crate) place: Place,
    pub(crate) written: Written,
    pub(crate) prefix: Given<String>,
    pub(crate) strip_prefix: bool,
    /// `None`: as the site.
    pub(crate) app: Option<App>,
    pub(crate) to: Given<Upstream>,
}

/// Reads every key of the file.
pub(crate) fn read_draft(root: &Node, checker: &mut Checker) -> Draft {
    let nowhere = Place { file: root.place.file.clone(), line: None };
    let mut draft = Draft {
        workers: None,
        runtime: Runtime::Auto,
        https: wildcard(&nowhere, ":443"),
        http: wildcard(&nowhere, ":80"),
        trusted_proxies: Vec::new(),
        protocols: Protocols { tls12: true, tls13: true },
        log: LogConfig {
            access: Some(LogTarget::Stdout),
            format: AccessFormat::Combined,
            error: LogTarget::Stderr,
            level: Level::Info,
        },
        limits: Limits::default(),
        limits_written: Written::new(),
        timeouts_written: Written::new(),
        sites: Vec::new(),
        sites_written: false,
    };
    read_table(root, &ROOT, &mut draft, checker);
    draft
}

/// A table of the file and the keys it may have.
struct Table<T: 'static> {
    /// As it is written in the file.
    title: &'static str,
    keys: &'static [Key<T>],
}

struct Key<T> {
    name: &'static str,
    /// What the value must be, as it follows "must be".
    expects: &'static str,
    /// Stores a right value, reports a wrong one.
    read: fn(&mut T, &Field<'_>, &mut Checker),
}

const fn key<T>(
    name: &'static str,
    expects: &'static str,
    read: fn(&mut T, &Field<'_>, &mut Checker),
) -> Key<T> {
    Key { name, expects, read }
}

static ROOT: Table<Draft> = Table {
    title: "the top level",
    keys: &[
        key("workers", WORKERS, |draft, field, checker| {
            draft.workers = match is_word(field, "auto") {
                true => None,
                false => number(field, checker, 1, limits::WORKERS_MAX),
            };
        }),
        key("runtime", "a word such as \"auto\"", |draft, field, checker| {
            set(&mut draft.runtime, word(field, checker, &RUNTIMES));
        }),
        key("listen_https", LISTEN, |draft, field, checker| {
            draft.https = listeners(field, checker);
        }),
        key("listen_http", LISTEN, |draft, field, checker| {
            draft.http = listeners(field, checker);
        }),
        key("trusted_proxies", "a list such as [\"10.0.0.0/8\"]", |draft, field, checker| {
            draft.trusted_proxies = networks(field, checker);
        }),
        key("tls", "a table, written [tls]", |draft, field, checker| {
            read_table(field.node, &TLS, &mut draft.protocols, checker);
        }),
        key("log", "a table, written [log]", |draft, field, checker| {
            read_table(field.node, &LOG, &mut draft.log, checker);
        }),
        key("limits", "a table, written [limits]", |draft, field, checker| {
            draft.limits_written = read_table(field.node, &LIMITS, &mut draft.limits, checker);
        }),
        key("timeouts", "a table, written [timeouts]", |draft, field, checker| {
            draft.timeouts_written =
                read_table(field.node, &TIMEOUTS, &mut draft.limits.timeouts, checker);
        }),
        key("site", "a list of tables, each written [[site]]", |draft, field, checker| {
            draft.sites_written = true;
            draft.sites = tables(field, checker, site);
        }),
    ],
};

static TLS: Table<Protocols> = Table {
    title: "[tls]",
    keys: &[key("protocols", "a list such as [\"1.2\", \"1.3\"]", protocols)],
};

static LOG: Table<LogConfig> = Table {
    title: "[log]",
    keys: &[
        key("access", "\"stdout\", \"stderr\", \"off\" or a file", |log, field, checker| {
            log.access = match is_word(field, "off") {
                true => None,
                false => log_target(field, checker),
            };
        }),
        key("format", "a word", |log, field, checker| {
            let formats = [("combined", AccessFormat::Combined), ("json", AccessFormat::Json)];
            set(&mut log.format, word(field, checker, &formats));
        }),
        key("error", "\"stderr\", \"stdout\" or a file", |log, field, checker| {
            if is_word(field, "off") {
                let hint = "for little of it write level = \"error\"";
                checker.refuse(&field.node.place, "the error log cannot be off", hint);
                return;
            }
            set(&mut log.error, log_target(field, checker));
        }),
        key("level", "a word", |log, field, checker| {
            let level = word(field, checker, &LEVELS.map(|level| (level.word(), level)));
            set(&mut log.level, level);
        }),
    ],
};

static LIMITS: Table<Limits> = Table {
    title: "[limits]",
    keys: &[
        key("connections", COUNT_OR_AUTO, |limits, field, checker| {
            limits.connections_max = connections(field, checker);
        }),
        key("connections_per_address", COUNT_OR_AUTO, |limits, field, checker| {
            limits.connections_per_address_max = match is_word(field, "off") {
                true => Some(u32::MAX),
                false => connections(field, checker),
            };
        }),
        key("request_head_bytes", SIZE, |limits, field, checker| {
            set(&mut limits.request_head_bytes_max, head_bytes(field, checker));
        }),
        key("request_target_bytes", SIZE, |limits, field, checker| {
            set(&mut limits.request_target_bytes_max, head_bytes(field, checker));
        }),
        key("request_fields", "a number", |limits, field, checker| {
            let fields = number(field, checker, 1, limits::FIELDS_MAX);
            set(&mut limits.request_fields_max, fields);
        }),
        key(
            "request_body_bytes",
            "a size such as \"50m\", or \"off\"",
            |limits, field, checker| {
                limits.request_body_bytes_max = match is_word(field, "off") {
                    true => None,
                    false => size(field, checker, 0, i64::MAX.unsigned_abs()),
                };
            },
        ),
        key("response_head_bytes", SIZE, |limits, field, checker| {
            set(&mut limits.response_head_bytes_max, head_bytes(field, checker));
        }),
    ],
};

static TIMEOUTS: Table<Timeouts> = Table {
    title: "[timeouts]",
    keys: &[
        key("handshake", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.handshake, duration(field, checker));
        }),
        key("request_head", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.request_head, duration(field, checker));
        }),
        key("request_body", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.request_body, duration(field, checker));
        }),
        key("keep_alive", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.keep_alive, duration_or_zero(field, checker));
        }),
        key("upstream_connect", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.upstream_connect, duration(field, checker));
        }),
        key("upstream_answer", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.upstream_answer, duration(field, checker));
        }),
        key("upstream_idle", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.upstream_idle, duration_or_zero(field, checker));
        }),
        key("send", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.send, duration(field, checker));
        }),
        key("tunnel_idle", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.tunnel_idle, duration(field, checker));
        }),
        key("drain", DURATION, |timeouts, field, checker| {
            set(&mut timeouts.drain, duration_or_zero(field, checker));
        }),
    ],
};

static SITE: Table<SiteDraft> = Table {
    title: "[[site]]",
    keys: &[
        key("names", "a list such as [\"shiny.example.com\"]", |site, field, checker| {
            for node in list(field, checker).unwrap_or_default() {
                let Some(text) = text(&field.with_text(node), checker) else {
                    continue;
                };
                if let Some(name) = checker.take(&node.place, parse_name(text)) {
                    site.names.push((node.place.clone(), name));
                }
            }
        }),
        key("certificates", CERTIFICATES, |site, field, checker| {
            site.certificates = tables(field, checker, certificate).into_iter().flatten().collect();
        }),
        key("app", "a word", |site, field, checker| {
            set(&mut site.app, word(field, checker, &APPS));
        }),
        key("hsts", "a text such as \"max-age=63072000\", or \"off\"", |site, field, checker| {
            site.hsts = if is_word(field, "off") { None } else { hsts(field, checker) };
        }),
        key("http", "a word", |site, field, checker| {
            set(&mut site.http, word(field, checker, &PLAIN_HTTP));
        }),
        key("acme_webroot", "a folder, or \"off\"", |site, field, checker| {
            site.acme_webroot =
                if is_word(field, "off") { None } else { acme_webroot(field, checker) };
        }),
        key("to", TO, |site, field, checker| site.to = upstream(field, checker)),
        key(
            "location",
            "a list of tables, each written [[site.location]]",
            |site, field, checker| site.locations = tables(field, checker, location),
        ),
    ],
};

static LOCATION: Table<LocationDraft> = Table {
    title: "[[site.location]]",
    keys: &[
        key("prefix", "a text such as \"/rstudio/\"", |location, field, checker| {
            location.prefix = given(
                text(field, checker)
                    .and_then(|text| checker.take(&field.node.place, parse_prefix(text))),
            );
        }),
        key("strip_prefix", "true or false", |location, field, checker| {
            set(&mut location.strip_prefix, truth(field, checker));
        }),
        key("app", "a word", |location, field, checker| {
            location.app = word(field, checker, &APPS);
        }),
        key("to", TO, |location, field, checker| location.to = upstream(field, checker)),
    ],
};

#[derive(Default)]
struct CertificateDraft {
    cert: Given<PathBuf>,
    key: Given<PathBuf>,
}

static CERTIFICATE: Table<CertificateDraft> = Table {
    title: "`certificates`",
    keys: &[
        key("cert", "the path of a PEM file", |draft, field, checker| {
            draft.cert = given(path(field, checker));
        }),
        key("key", "the path of a PEM file", |draft, field, checker| {
            draft.key = given(path(field, checker));
        }),
    ],
};

/// Every key with the table it belongs into.
fn homes() -> impl Iterator<Item = (&'static str, &'static str)> {
    fn of<T>(table: &'static Table<T>) -> impl Iterator<Item = (&'static str, &'static str)> {
        table.keys.iter().map(|key| (table.title, key.name))
    }
    of(&ROOT)
        .chain(of(&TLS))
        .chain(of(&LOG))
        .chain(of(&LIMITS))
        .chain(of(&TIMEOUTS))
        .chain(of(&SITE))
        .chain(of(&LOCATION))
        .chain(of(&CERTIFICATE))
}

fn read_table<T>(
    node: &Node,
    table: &'static Table<T>,
    into: &mut T,
    checker: &mut Checker,
) -> Written {
    let mut written = Written::new();
    let Value::Table(entries) = &node.value else {
        let field = Field { key: table.title, expects: "a table", node };
        checker.wrong_kind(&field, format!("write {} on a line of its own", table.title));
        return written;
    };
    for entry in entries {
        match table.keys.iter().find(|key| key.name == entry.name) {
            Some(key) => {
                written.insert(key.name, entry.place.clone());
                let field = Field { key: key.name, expects: key.expects, node: &entry.node };
                (key.read)(into, &field, checker);
            }
            None => refuse_unknown(entry, table, checker),
        }
    }
    written
}

fn refuse_unknown<T>(entry: &Entry, table: &'static Table<T>, checker: &mut Checker) {
    let name = &entry.name;
    let here: Vec<&str> = table.keys.iter().map(|key| key.name).collect();
    if let Some((_, ours)) = NGINX_WORDS.iter().find(|(theirs, _)| theirs == name) {
        checker.refuse(&entry.place, format!("unknown key `{name}`"), format!("write {ours}"));
    } else if let Some((title, _)) = homes().find(|(_, key)| key == name) {
        let what = format!("`{name}` does not belong into {}", table.title);
        let hint = match title {
            "the top level" => "write it above the first [table]".to_owned(),
            title => format!("it belongs into {title}"),
        };
        checker.refuse(&entry.place, what, hint);
    } else if let Some(near) = nearest(name, here.iter().copied()) {
        let what = format!("unknown key `{name}`, did you mean `{near}`?");
        checker.refuse_plainly(&entry.place, what);
    } else if let Some((title, near)) =
        homes().find(|(_, key)| nearest(name, [*key].into_iter()).is_some())
    {
        let what = format!("unknown key `{name}`, did you mean `{near}` of {title}?");
        checker.refuse_plainly(&entry.place, what);
    } else {
        let what = format!("unknown key `{name}` in {}", table.title);
        checker.refuse(&entry.place, what, format!("it takes {}", here.join(", ")));
    }
}

fn tables<T>(
    field: &Field<'_>,
    checker: &mut Checker,
    read: fn(&Field<'_>, &mut Checker) -> T,
) -> Vec<T> {
    match &field.node.value {
        Value::List(nodes) => {
            nodes.iter().map(|node| read(&field.with_node(node), checker)).collect()
        }
        Value::Table(_) => {
            let hint = match field.key {
                "certificates" => "write certificates = [{ cert = \"...\", key = \"...\" }]",
                _ => "write two brackets: [[site]] and [[site.location]]",
            };
            checker.wrong_kind(field, hint);
            Vec::new()
        }
        Value::Text(_) | Value::Number(_) | Value::Truth(_) | Value::Foreign(_) => {
            checker.wrong_kind(field, "");
            Vec::new()
        }
    }
}

fn site(field: &Field<'_>, checker: &mut Checker) -> SiteDraft {
    let mut draft = SiteDraft {
        place: field.node.place.clone(),
        written: Written::new(),
        names: Vec::new(),
        certificates: Vec::new(),
        app: App::Shiny,
        hsts: None,
        http: PlainHttp::Redirect301,
        acme_webroot: None,
        to: Given::Missing,
        locations: Vec::new(),
    };
    draft.written = read_table(field.node, &SITE, &mut draft, checker);
    draft
}

fn location(field: &Field<'_>, checker: &mut Checker) -> LocationDraft {
    let mut draft = LocationDraft {
        place: field.node.place.clone(),
        written: Written::new(),
        prefix: Given::Missing,
        strip_prefix: false,
        app: None,
        to: Given::Missing,
    };
    draft.written = read_table(field.node, &LOCATION, &mut draft, checker);
    draft
}

fn certificate(field: &Field<'_>, checker: &mut Checker) -> Option<CertificateFiles> {
    let mut draft = CertificateDraft::default();
    if !matches!(field.node.value, Value::Table(_)) {
        checker.wrong_kind(field, "write { cert = \"fullchain.pem\", key = \"privkey.pem\" }");
        return None;
    }
    read_table(field.node, &CERTIFICATE, &mut draft, checker);
    let place = &field.node.place;
    match (draft.cert, draft.key) {
        (Given::Right(cert), Given::Right(key)) => return Some(CertificateFiles { cert, key }),
        (Given::Right(_) | Given::Wrong, Given::Missing) => checker.refuse(
            place,
            "a certificate without its `key`",
            "add key = \"privkey.pem\"; when one file holds both, name it twice",
        ),
        (Given::Missing, Given::Right(_) | Given::Wrong) => checker.refuse(
            place,
            "a key without its `cert`",
            "add cert = \"fullchain.pem\", the certificate with its chain",
        ),
        (Given::Missing, Given::Missing) => checker.refuse(
            place,
            "an empty certificate",
            "write { cert = \"fullchain.pem\", key = \"privkey.pem\" }",
        ),
        (Given::Wrong, Given::Wrong | Given::Right(_)) | (Given::Right(_), Given::Wrong) => {}
    }
    None
}

fn listeners(field: &Field<'_>, checker: &mut Checker) -> Vec<(Place, ListenAddress)> {
    let mut listeners = Vec::new();
    for node in list(field, checker).unwrap_or_default() {
        if let Value::Number(port) = node.value {
            checker.wrong_kind(&field.with_text(node), format!("write \":{port}\""));
            continue;
        }
        let Some(text) = text(&field.with_text(node), checker) else {
            continue;
        };
        for address in checker.take(&node.place, parse_listen(text)).unwrap_or_default() {
            listeners.push((node.place.clone(), address));
        }
    }
    listeners
}

fn wildcard(place: &Place, text: &str) -> Vec<(Place, ListenAddress)> {
    let addresses = parse_listen(text).unwrap_or_default();
    addresses.into_iter().map(|address| (place.clone(), address)).collect()
}

fn networks(field: &Field<'_>, checker: &mut Checker) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for node in list(field, checker).unwrap_or_default() {
        let Some(text) = text(&field.with_text(node), checker) else {
            continue;
        };
        let Some((network, shortened)) = checker.take(&node.place, parse_network(text)) else {
            continue;
        };
        if shortened {
            let what = format!("`{text}` names an address inside its network");
            checker.warn(&node.place, what, format!("it is taken as \"{network}\""));
        }
        if network.prefix_len() == 0 {
            let what = format!("`{text}` trusts everybody: any client can claim any address");
            checker.warn(&node.place, what, "name the addresses of the proxy in front");
        }
        networks.push(network);
    }
    networks
}

fn protocols(protocols: &mut Protocols, field: &Field<'_>, checker: &mut Checker) {
    let Some(nodes) = list(field, checker) else {
        return;
    };
    if nodes.is_empty() {
        let hint = "write protocols = [\"1.2\", \"1.3\"]";
        checker.refuse(&field.node.place, "no TLS version is left", hint);
        return;
    }
    *protocols = Protocols { tls12: false, tls13: false };
    for node in nodes {
        let hint = match &node.value {
            Value::Text(text) if text == "1.2" => {
                protocols.tls12 = true;
                continue;
            }
            Value::Text(text) if text == "1.3" => {
                protocols.tls13 = true;
                continue;
            }
            Value::Text(text) if text.ends_with("1.2") => "write \"1.2\"",
            Value::Text(text) if text.ends_with("1.3") => "write \"1.3\"",
            Value::Text(_) => {
                "older versions are broken and not in sheen: write \"1.2\" or \"1.3\""
            }
            _ => "write \"1.2\" or \"1.3\", in quotes",
        };
        let what = format!("a TLS version cannot be {}", node.value);
        checker.refuse(&node.place, what, hint);
    }
}

fn log_target(field: &Field<'_>, checker: &mut Checker) -> Option<LogTarget> {
    let text = text(field, checker)?;
    match text {
        "stdout" => return Some(LogTarget::Stdout),
        "stderr" => return Some(LogTarget::Stderr),
        _ => {}
    }
    let words = ["stdout", "stderr", "off"];
    if let Some(near) = nearest(text, words.into_iter()).filter(|_| !text.contains(['/', '.'])) {
        let what = format!("`{}` is `{text}`, did you mean `{near}`?", field.key);
        checker.refuse(&field.node.place, what, format!("for a file write \"./{text}\""));
        return None;
    }
    path(field, checker).map(LogTarget::File)
}

/// `None`: auto.
fn connections(field: &Field<'_>, checker: &mut Checker) -> Option<u32> {
    if is_word(field, "auto") {
        return None;
    }
    count(field, checker, 1, u64::from(u32::MAX)).and_then(|count| u32::try_from(count).ok())
}

fn number(
    field: &Field<'_>,
    checker: &mut Checker,
    smallest: u64,
    largest: usize,
) -> Option<usize> {
    count(field, checker, smallest, largest as u64).and_then(|count| usize::try_from(count).ok())
}

fn head_bytes(field: &Field<'_>, checker: &mut Checker) -> Option<usize> {
    size(field, checker, limits::HEAD_BYTES_MIN as u64, limits::HEAD_BYTES_MAX as u64)
        .and_then(|bytes| usize::try_from(bytes).ok())
}

fn hsts(field: &Field<'_>, checker: &mut Checker) -> Option<String> {
    let text = match &field.node.value {
        Value::Truth(_) | Value::Number(_) => {
            checker.wrong_kind(field, "write hsts = \"max-age=63072000\"");
            return None;
        }
        _ => text(field, checker)?,
    };
    let hsts = checker.take(&field.node.place, parse_hsts(text))?;
    for warning in hsts.warnings {
        checker.warn(&field.node.place, warning.what, warning.hint);
    }
    Some(hsts.value)
}

fn acme_webroot(field: &Field<'_>, checker: &mut Checker) -> Option<PathBuf> {
    let path = path(field, checker)?;
    if !path.is_dir() {
        let what = format!("acme_webroot `{}` is not a folder", path.display());
        let hint = "make it, or name the folder that certbot has after --webroot-path";
        checker.warn(&field.node.place, what, hint);
    }
    Some(path)
}

fn upstream(field: &Field<'_>, checker: &mut Checker) -> Given<Upstream> {
    let text = match &field.node.value {
        Value::Number(port) => {
            checker.wrong_kind(field, format!("write \":{port}\" for this machine"));
            return Given::Wrong;
        }
        Value::List(_) => {
            checker.wrong_kind(field, "one app per location; several members are not supported");
            return Given::Wrong;
        }
        _ => text(field, checker),
    };
    given(text.and_then(|text| {
        let upstream = parse_upstream(text, &checker.base, checker.resolve);
        checker.take(&field.node.place, upstream)
    }))
}

fn given<T>(value: Option<T>) -> Given<T> {
    value.map_or(Given::Wrong, Given::Right)
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

const RUNTIMES: [(&str, Runtime); 5] = {
    let [defer, coop, uring, epoll] = Rung::LADDER;
    [
        ("auto", Runtime::Auto),
        ("defer_taskrun", Runtime::Exactly(defer)),
        ("coop_taskrun", Runtime::Exactly(coop)),
        ("io_uring", Runtime::Exactly(uring)),
        ("epoll", Runtime::Exactly(epoll)),
    ]
};
const LEVELS: [Level; 4] = [Level::Error, Level::Warn, Level::Info, Level::Debug];
const APPS: [(&str, App); 3] =
    [("shiny", App::Shiny), ("workbench", App::Workbench), ("connect", App::Connect)];
const PLAIN_HTTP: [(&str, PlainHttp); 3] = [
    ("redirect", PlainHttp::Redirect301),
    ("redirect-308", PlainHttp::Redirect308),
    ("proxy", PlainHttp::Proxy),
];

const WORKERS: &str = "a number of threads, or \"auto\"";
const LISTEN: &str = "a list of addresses such as [\":443\"]";
const COUNT_OR_AUTO: &str = "a number, or \"auto\"";
const SIZE: &str = "a size such as \"32k\"";
const DURATION: &str = "a duration such as \"30s\"";
const CERTIFICATES: &str = "a list of { cert = \"...\", key = \"...\" }";
const TO: &str = "an address such as \"127.0.0.1:3838\"";

/// What people know from nginx, and what it is called here.
const NGINX_WORDS: [(&str, &str); 17] = [
    ("listen", "listen_https or listen_http, above the first [table]"),
    ("server_name", "names in [[site]]"),
    ("server", "[[site]]"),
    ("sites", "[[site]], once for each"),
    ("locations", "[[site.location]], once for each"),
    ("proxy_pass", "to in [[site]] or [[site.location]]"),
    ("upstream", "to in [[site]] or [[site.location]]"),
    ("ssl_certificate", "certificates in [[site]]"),
    ("ssl_certificate_key", "certificates in [[site]]"),
    ("ssl_protocols", "protocols in [tls]"),
    ("client_max_body_size", "request_body_bytes in [limits]"),
    ("proxy_read_timeout", "upstream_answer and tunnel_idle in [timeouts]"),
    ("proxy_connect_timeout", "upstream_connect in [timeouts]"),
    ("keepalive_timeout", "keep_alive in [timeouts]"),
    ("worker_processes", "workers"),
    ("access_log", "access in [log]"),
    ("error_log", "error in [log]"),
];
