//! The keys of sheen.toml, one table each: name, what is expected, how it is read into a draft.

use super::draft::{CertificateDraft, Draft, Given, LocationDraft, SiteDraft};
use super::fields::{
    acme_webroot, app, body_bytes, connections, head_bytes, hsts, log_target, names, networks,
    number, protocols, upstream, wildcard,
};
use super::listen::{LISTEN as LISTENER, listeners};
use super::names::parse_prefix;
use super::process::{account, pid_file};
use super::raw::{Checker, Field, Node, Place, Value};
use super::table::{Table, key, read_table, tables};
use super::values::{duration, duration_or_zero, is_word, path, text, truth, word};
use super::{
    AccessFormat, CertificateFiles, Ktls, Level, LogConfig, PlainHttp, Rung, Runtime, User,
};
use crate::limits::{self, Limits, Timeouts};

/// Reads every key of the file.
pub(crate) fn read_draft(root: &Node, checker: &mut Checker) -> Draft {
    let nowhere = Place { file: root.place.file.clone(), line: None };
    let mut draft = Draft::new(wildcard(&nowhere, 443, true), wildcard(&nowhere, 80, false));
    let whole = Field { key: "file", expects: "a table", node: root };
    draft.written = read_table(&whole, &ROOT, &mut draft, checker);
    draft
}

/// Every key with the table it belongs into.
pub(crate) fn homes() -> impl Iterator<Item = (&'static str, &'static str)> {
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
        .chain(of(&LISTENER))
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
        key("daemon", "true or false", |draft, field, checker| {
            set(&mut draft.process.daemon, truth(field, checker));
        }),
        key("pid", "a file, or \"off\"", |draft, field, checker| {
            draft.process.pid = pid_file(field, checker);
        }),
        key("user", "the name of a user, or \"off\"", |draft, field, checker| {
            let user = account(field, checker);
            draft.process.user = user.map(|name| User { name, group: None });
        }),
        key("group", "the name of a group, or \"off\"", |draft, field, checker| {
            draft.group = account(field, checker);
        }),
        key("listen_https", LISTEN, |draft, field, checker| {
            draft.https = listeners(field, true, checker);
        }),
        key("listen_http", LISTEN, |draft, field, checker| {
            draft.http = listeners(field, false, checker);
        }),
        key("trusted_proxies", "a list such as [\"10.0.0.0/8\"]", |draft, field, checker| {
            draft.trusted_proxies = networks(field, checker);
        }),
        key("tls", "a table, written [tls]", |draft, field, checker| {
            read_table(field, &TLS, draft, checker);
        }),
        key("log", "a table, written [log]", |draft, field, checker| {
            read_table(field, &LOG, &mut draft.log, checker);
        }),
        key("limits", "a table, written [limits]", |draft, field, checker| {
            draft.limits_written = read_table(field, &LIMITS, &mut draft.limits, checker);
        }),
        key("timeouts", "a table, written [timeouts]", |draft, field, checker| {
            draft.timeouts_written =
                read_table(field, &TIMEOUTS, &mut draft.limits.timeouts, checker);
        }),
        key("site", "a list of tables, each written [[site]]", |draft, field, checker| {
            draft.sites_written = true;
            draft.sites = tables(field, checker, site);
        }),
    ],
};

static TLS: Table<Draft> = Table {
    title: "[tls]",
    keys: &[
        key("protocols", "a list such as [\"1.2\", \"1.3\"]", |draft, field, checker| {
            protocols(&mut draft.protocols, field, checker);
        }),
        key("ktls", "a word", |draft, field, checker| {
            let ktls = word(field, checker, &Ktls::ALL.map(|ktls| (ktls.word(), ktls)));
            set(&mut draft.ktls, ktls);
        }),
    ],
};

static LOG: Table<LogConfig> = Table {
    title: "[log]",
    keys: &[
        key("access", "\"stdout\", \"stderr\", \"off\" or a file", |log, field, checker| {
            log.access = match is_word(field, "off") {
                true => None,
                false => log_target(field, checker),
            }
            .into_iter()
            .collect();
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
            let level = word(field, checker, &Level::ALL.map(|level| (level.word(), level)));
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
            |limits, field, checker| limits.request_body_bytes_max = body_bytes(field, checker),
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
        key("names", "a list such as [\"shiny.example.com\"]", names),
        key("certificates", CERTIFICATES, |site, field, checker| {
            site.certificates = tables(field, checker, certificate).into_iter().flatten().collect();
        }),
        key("app", "a word", |site, field, checker| {
            set(&mut site.app, app(field, checker));
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
            location.prefix = Given::read(
                text(field, checker)
                    .and_then(|text| checker.take(&field.node.place, parse_prefix(text))),
            );
        }),
        key("strip_prefix", "true or false", |location, field, checker| {
            set(&mut location.strip_prefix, truth(field, checker));
        }),
        key("app", "a word", |location, field, checker| {
            location.app = app(field, checker);
        }),
        key("to", TO, |location, field, checker| location.to = upstream(field, checker)),
    ],
};

static CERTIFICATE: Table<CertificateDraft> = Table {
    title: "`certificates`",
    keys: &[
        key("cert", "the path of a PEM file", |draft, field, checker| {
            draft.cert = Given::read(path(field, checker));
        }),
        key("key", "the path of a PEM file", |draft, field, checker| {
            draft.key = Given::read(path(field, checker));
        }),
    ],
};

fn site(field: &Field<'_>, checker: &mut Checker) -> SiteDraft {
    let mut draft = SiteDraft::new(field.node.place.clone());
    draft.written = read_table(field, &SITE, &mut draft, checker);
    draft
}

fn location(field: &Field<'_>, checker: &mut Checker) -> LocationDraft {
    let mut draft = LocationDraft::new(field.node.place.clone());
    draft.written = read_table(field, &LOCATION, &mut draft, checker);
    draft
}

fn certificate(field: &Field<'_>, checker: &mut Checker) -> Option<CertificateFiles> {
    let mut draft = CertificateDraft::default();
    if !matches!(field.node.value, Value::Table(_)) {
        checker.wrong_kind(field, CERTIFICATE_HINT);
        return None;
    }
    read_table(field, &CERTIFICATE, &mut draft, checker);
    let place = &field.node.place;
    match (draft.cert, draft.key) {
        (Given::Right(cert), Given::Right(key)) => {
            return Some(CertificateFiles { cert, key, passphrases: None });
        }
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
        (Given::Missing, Given::Missing) => {
            checker.refuse(place, "an empty certificate", CERTIFICATE_HINT);
        }
        (Given::Wrong, Given::Wrong | Given::Right(_)) | (Given::Right(_), Given::Wrong) => {}
    }
    None
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
const CERTIFICATE_HINT: &str = "write { cert = \"fullchain.pem\", key = \"privkey.pem\" }";
const TO: &str = "an address such as \"127.0.0.1:3838\"";
