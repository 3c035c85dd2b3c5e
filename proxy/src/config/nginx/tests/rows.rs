//! The table against the nginx of this machine, row by row.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::table::*;
use super::{Bench, has_nginx, wrapped};

/// What nginx thinks of a directive before it looks at its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Unknown,
    NotAllowed,
    NotTerminated,
    NotOpened,
    WrongCount,
    Fits,
}

fn verdict(said: Option<&str>, name: &str) -> Verdict {
    let Some(said) = said else { return Verdict::Fits };
    for (words, verdict) in [
        (format!("unknown directive \"{name}\""), Verdict::Unknown),
        (format!("\"{name}\" directive is not allowed here"), Verdict::NotAllowed),
        (format!("directive \"{name}\" is not terminated by \";\""), Verdict::NotTerminated),
        (format!("directive \"{name}\" has no opening \"{{\""), Verdict::NotOpened),
        (format!("invalid number of arguments in \"{name}\" directive"), Verdict::WrongCount),
    ] {
        if said.contains(&words) {
            return verdict;
        }
    }
    Verdict::Fits
}

/// The directive with so many arguments, in the form that the row has.
fn written(row: &Row, arguments: usize) -> String {
    let mut text = row.name.to_owned();
    text.push_str(&" 1".repeat(arguments));
    text.push_str(if row.opens().is_some() { " { }" } else { ";" });
    text
}

fn least(row: &Row) -> usize {
    row.count().trailing_zeros() as usize
}

/// The first context in which it may stand.
fn home(row: &Row) -> &'static str {
    let mut contexts = CONTEXT_NAMES.iter().filter(|(context, _)| row.contexts & context != 0);
    contexts.next().unwrap().1
}

/// Runs `compare` over all rows on as many threads as there are cores.
fn for_rows(compare: impl Fn(&Bench, &'static Row) -> Vec<String> + Sync) -> Vec<String> {
    let all: Vec<&Row> = rows().filter(|row| !row.name.ends_with('*')).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let bench = Bench::new();
        let mut wrong = Vec::new();
        while let Some(row) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.extend(compare(&bench, row));
        }
        wrong
    };
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get());
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn the_table_has_the_contexts_and_counts_of_nginx() {
    if !has_nginx() {
        return;
    }
    let newer: BTreeSet<&str> = NEWER.iter().copied().collect();
    let wrong = for_rows(|bench, row| {
        let mut wrong = Vec::new();
        let mut compare = |text: String, place: &str, ours: Verdict| {
            let said = bench.nginx(&wrapped(place, &text));
            let theirs = verdict(said.as_deref(), row.name);
            let known = theirs != Verdict::Unknown;
            if place == "upstream" && NEWER_IN_UPSTREAM.contains(&row.name) {
                return;
            }
            if known == newer.contains(row.name) {
                wrong.push(format!("{}: known to nginx: {known}", row.name));
            } else if known && theirs != ours {
                wrong.push(format!("{text} in {place}: we {ours:?}, nginx {theirs:?} ({said:?})"));
            }
        };
        let contexts = named(row.name.as_bytes()).fold(0, |all, row| all | row.contexts);
        for (context, place) in CONTEXT_NAMES {
            let ours = if contexts & context == 0 { Verdict::NotAllowed } else { Verdict::Fits };
            if ours == Verdict::NotAllowed || row.contexts & context != 0 {
                compare(written(row, least(row)), place, ours);
            }
        }
        let place = home(row);
        for arguments in [0, 1, 2, 3, 4, 5, 9] {
            let fits = row.takes == Takes::Anything || allows(row.count(), arguments);
            let ours = if fits { Verdict::Fits } else { Verdict::WrongCount };
            compare(written(row, arguments), place, ours);
        }
        let text = format!("{}{}", row.name, " 1".repeat(least(row)));
        if row.opens().is_some() {
            compare(format!("{text};"), place, Verdict::NotOpened);
        } else if row.takes != Takes::Anything {
            compare(format!("{text} {{ }}"), place, Verdict::NotTerminated);
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Arguments that nginx takes.
fn sample(row: &Row) -> String {
    if let Some((_, arguments)) = SAMPLES.iter().find(|(name, _)| *name == row.name) {
        return (*arguments).to_owned();
    }
    if row.name == "server" && row.contexts == UPSTREAM {
        return "127.0.0.1".to_owned();
    }
    match row.takes {
        Takes::Flag => "on".to_owned(),
        Takes::Size | Takes::Offset => "64k".to_owned(),
        Takes::Milliseconds | Takes::Seconds => "30s".to_owned(),
        Takes::Number => "64".to_owned(),
        Takes::Between(least, _) => least.to_string(),
        Takes::Buffers => "4 8k".to_owned(),
        Takes::Word(words) | Takes::Words(words) => words[0].to_owned(),
        _ => vec!["x"; least(row)].join(" "),
    }
}

#[test]
fn the_table_knows_what_may_stand_twice() {
    if !has_nginx() {
        return;
    }
    let wrong = for_rows(|bench, row| {
        let place = home(row);
        // Modules are not there, and zones may stand once each.
        if ["load_module", "limit_conn", "limit_req"].contains(&row.name) {
            return Vec::new();
        }
        let newer = place == "upstream" && NEWER_IN_UPSTREAM.contains(&row.name);
        if newer || NEWER.contains(&row.name) || row.takes == Takes::Anything {
            return Vec::new();
        }
        let end = if row.opens().is_some() { "{ }" } else { ";" };
        let text = format!("\n{} {} {end}", row.name, sample(row));
        let said = bench.nginx(&wrapped(place, &(text.clone() + &text))).unwrap_or_default();
        if said.starts_with("t:2 ") && !said.contains("no servers") {
            return vec![format!("{}: no sample: {said}", row.name)];
        }
        let duplicate = said == format!("t:3 \"{}\" directive is duplicate", row.name);
        if duplicate == row.stands_once() {
            return Vec::new();
        }
        vec![format!("{}: duplicate for nginx: {duplicate} ({said})", row.name)]
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_directive_is_in_the_printed_table_once_per_context() {
    let printed = print();
    for row in rows() {
        assert!(printed.contains(row.name), "{}", row.name);
        assert!(row.contexts != 0 && row.count() != 0, "{}", row.name);
        let same =
            rows().filter(|other| other.name == row.name && other.contexts & row.contexts != 0);
        assert_eq!(same.count(), 1, "{} has two meanings in one context", row.name);
    }
    assert!(printed.lines().count() > 400);
    let line = printed.lines().find(|line| line.starts_with("proxy_pass_trailers ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let expected = "proxy_pass_trailers on | off http, server, location as nginx (proxy)";
    assert_eq!(words.join(" "), expected);
}

/// What nginx 1.22 of Debian does not know: it is newer, or of a module of its own.
const NEWER: &[&str] = &[
    "acme_certificate",
    "acme_issuer",
    "acme_shared_zone",
    "add_header_inherit",
    "add_trailer_inherit",
    "api",
    "auth_require",
    "early_hints",
    "google_perftools_profiles",
    "health_check",
    "http2",
    "http3",
    "http3_hq",
    "http3_max_concurrent_streams",
    "http3_stream_buffer_size",
    "internal_redirect",
    "keepalive_min_timeout",
    "least_time",
    "limit_zone",
    "mail",
    "match",
    "mgmt",
    "ntlm",
    "oidc_provider",
    "proxy_cache_purge",
    "proxy_pass_trailers",
    "proxy_ssl_certificate_cache",
    "proxy_ssl_key_log",
    "queue",
    "quic_active_connection_id_limit",
    "quic_bpf",
    "quic_gso",
    "quic_host_key",
    "quic_retry",
    "rtmp",
    "ssl_certificate_cache",
    "ssl_certificate_compression",
    "ssl_ech_file",
    "ssl_key_log",
    "ssl_object_cache_inheritable",
    "state",
    "status",
    "status_zone",
    "sticky",
    "sticky_cookie_insert",
    "stream",
    "upstream_conf",
    "xml_entities",
];

/// In `upstream` since 1.27.3.
const NEWER_IN_UPSTREAM: &[&str] = &["resolver", "resolver_timeout"];

/// Arguments for directives that do not take any text.
const SAMPLES: &[(&str, &str)] = &[
    ("aio", "off"),
    ("allow", "all"),
    ("auth_request_set", "$a b"),
    ("charset_map", "a b"),
    ("dav_access", "user:rw"),
    ("debug_connection", "127.0.0.1"),
    ("deny", "all"),
    ("directio", "4k"),
    ("disable_symlinks", "on"),
    ("error_page", "404 x"),
    ("expires", "1h"),
    ("geo", "$a"),
    ("gzip_window", "4k"),
    ("if", "($host)"),
    ("include", "x*"),
    ("keepalive", "4"),
    ("keepalive_disable", "msie6"),
    ("keepalive_timeout", "5"),
    ("limit_conn", "z 1"),
    ("limit_conn_zone", "$host zone=z:1m"),
    ("limit_except", "GET"),
    ("limit_rate", "1k"),
    ("limit_rate_after", "1k"),
    ("limit_req", "zone=z"),
    ("limit_req_zone", "$host zone=z:1m rate=1r/s"),
    ("listen", "127.0.0.1:8081"),
    ("map", "$a $b"),
    ("open_file_cache", "max=9"),
    ("open_log_file_cache", "max=9"),
    ("proxy_bind", "127.0.0.1"),
    ("proxy_cache_path", "x keys_zone=z:1m"),
    ("proxy_cache_valid", "1h"),
    ("proxy_cookie_domain", "a b"),
    ("proxy_cookie_flags", "a secure"),
    ("proxy_cookie_path", "a b"),
    ("proxy_pass", "http://127.0.0.1"),
    ("proxy_redirect", "a b"),
    ("proxy_ssl_password_file", "/dev/null"),
    ("proxy_store_access", "user:rw"),
    ("resolver", "127.0.0.1"),
    ("return", "200"),
    ("set", "$a b"),
    ("set_real_ip_from", "127.0.0.1"),
    ("split_clients", "$a $b"),
    ("ssl_engine", "dynamic"),
    ("ssl_ocsp_cache", "off"),
    ("ssl_password_file", "/dev/null"),
    ("ssl_session_cache", "off"),
    ("thread_pool", "x threads=1"),
    ("use", "epoll"),
    ("user", "root"),
    ("userid_expires", "1h"),
    ("userid_flags", "secure"),
    ("userid_mark", "a"),
    ("worker_connections", "9"),
    ("worker_cpu_affinity", "auto"),
    ("worker_priority", "1"),
    ("worker_processes", "1"),
    ("zone", "z 1m"),
];
