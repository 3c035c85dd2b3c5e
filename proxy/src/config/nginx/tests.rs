//! The language against what nginx says of it: the table row by row, and broken configurations.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use super::table::*;
use super::*;

/// Each case: `<<<` and where it stands, a text, `>>>`, what is said of it, hints after an arrow;
/// a line `~` says why nginx says something else.
const BROKEN: &str = include_str!("tests/broken.txt");

const NGINX: &str = "/usr/sbin/nginx";

/// A folder with one configuration.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("t")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn read(&self) -> Result<Tree, Vec<Problem>> {
        let prefix = self.folder.path().to_owned();
        let options = Options { prefix: prefix.clone(), conf_prefix: prefix, globals: Vec::new() };
        read(&self.path(), &options)
    }

    /// What we say of a text: `t:LINE WHAT -> HINT`, line by line.
    fn said(&self, text: &str) -> Vec<String> {
        self.write("t", text);
        let problems = self.read().err().unwrap_or_default();
        let folder = format!("{}/", self.folder.path().display());
        let line = |problem: &Problem| {
            let place = problem.line.map_or_else(String::new, |line| format!(":{line}"));
            let hint = problem.hint.as_ref().map_or_else(String::new, |hint| format!(" -> {hint}"));
            format!("{}{place} {}{hint}", problem.file, problem.what)
                .replace(&folder, "")
                .replace(folder.trim_end_matches('/'), ".")
        };
        problems.iter().map(line).collect()
    }

    /// What nginx says of it, in the same form; `None` when it finds nothing wrong.
    fn nginx(&self, text: &str) -> Option<String> {
        self.write("t", text);
        let mut command = Command::new(NGINX);
        command.arg("-t").arg("-c").arg(self.path()).arg("-p").arg(self.folder.path());
        let output = command.args(["-e", "stderr"]).output().expect("nginx runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let line = text.lines().find(|line| line.contains("[emerg]") || line.contains("[crit]"))?;
        let (_, said) = line.split_once("] ").unwrap();
        // The number of the process, when the line is one of a log.
        let said = match said.split_once(": ") {
            Some((process, said)) if process.contains('#') => said,
            _ => said,
        };
        let folder = format!("{}/", self.folder.path().display());
        let said = said.replace(&folder, "");
        let (what, file, line) = match said.rsplit_once(" in ") {
            Some((what, place)) if place.contains(':') && !place.contains(' ') => {
                let (file, line) = place.rsplit_once(':').unwrap();
                (what, file, format!(":{line}"))
            }
            _ => (&*said, "", String::new()),
        };
        Some(format!("{file}{line} {what}"))
    }
}

fn has_nginx() -> bool {
    let found = Path::new(NGINX).exists();
    if !found {
        eprintln!("no {NGINX} to compare with");
    }
    found
}

/// The text as it stands in `main`, `http`, `server`...; it begins on line 1.
fn wrapped(place: &str, text: &str) -> String {
    let (before, after) = match place {
        "main" => ("", ""),
        "events" => ("events { ", "\n} http { }"),
        "http" => ("events { } http { ", "\n}"),
        "server" => ("events { } http { server { ", "\n} }"),
        "location" => ("events { } http { server { location / { ", "\n} } }"),
        "if in server" => ("events { } http { server { if ($host) { ", "\n} } }"),
        "if in location" => ("events { } http { server { location / { if ($host) { ", "\n} } } }"),
        "limit_except" => {
            ("events { } http { server { location / { limit_except GET { ", "\n} } } }")
        }
        "upstream" => ("events { } http { upstream u { ", "\nserver 127.0.0.1; } }"),
        other => panic!("no such place: {other}"),
    };
    format!("{before}{text}{after}")
}

/// One broken configuration.
struct Case {
    text: String,
    expected: Vec<&'static str>,
    /// Why nginx says something else.
    reason: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let case = |case: &'static str| {
        let (text, expected) = case.split_once("\n>>>\n").expect("a case has an answer");
        let (place, text) = text.split_once('\n').expect("a case has a place");
        let (reasons, expected) =
            expected.trim_end().lines().partition(|line| line.starts_with("~ "));
        let reasons: Vec<&str> = reasons;
        Case {
            text: wrapped(place.trim(), text),
            expected,
            reason: reasons.first().map(|line| &line[2..]),
        }
    };
    BROKEN.split("<<<").skip(1).map(case).collect()
}

#[test]
fn broken_configurations_are_refused_with_every_reason() {
    let bench = Bench::new();
    let mut wrong = String::new();
    let cases = cases();
    assert!(cases.len() >= 200, "{} cases", cases.len());
    for case in &cases {
        let said = bench.said(&case.text);
        if said != case.expected {
            let (said, expected) = (said.join("\n"), case.expected.join("\n"));
            let _ = writeln!(wrong, "---\n{}\nexpected:\n{expected}\nsaid:\n{said}", case.text);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_first_problem_is_the_one_that_nginx_finds() {
    if !has_nginx() {
        return;
    }
    let bench = Bench::new();
    let mut wrong = String::new();
    for case in cases() {
        let nginx = bench.nginx(&case.text).unwrap_or_default();
        let first = case.expected.first().map_or("", |line| line.split(" -> ").next().unwrap());
        if (nginx == first) == case.reason.is_some() {
            let reason = case.reason.unwrap_or("none");
            let _ = writeln!(
                wrong,
                "---\n{}\nwe:    {first}\nnginx: {nginx}\nreason: {reason}",
                case.text
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

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

const PLACES: [(Contexts, &str); 9] = [
    (MAIN, "main"),
    (EVENTS, "events"),
    (HTTP, "http"),
    (SERVER, "server"),
    (LOCATION, "location"),
    (IF_SERVER, "if in server"),
    (IF_LOCATION, "if in location"),
    (LIMIT_EXCEPT, "limit_except"),
    (UPSTREAM, "upstream"),
];

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
        for (context, place) in PLACES {
            let ours = if contexts & context == 0 { Verdict::NotAllowed } else { Verdict::Fits };
            if ours == Verdict::NotAllowed || row.contexts & context != 0 {
                compare(written(row, least(row)), place, ours);
            }
        }
        let (_, place) = PLACES.iter().find(|(context, _)| row.contexts & context != 0).unwrap();
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
        let (_, place) = PLACES.iter().find(|(context, _)| row.contexts & context != 0).unwrap();
        // Modules are not there, and zones may stand once each.
        if ["load_module", "limit_conn", "limit_req"].contains(&row.name) {
            return Vec::new();
        }
        let newer = *place == "upstream" && NEWER_IN_UPSTREAM.contains(&row.name);
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
    let line = printed.lines().find(|line| line.starts_with("proxy_buffering ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let expected = "proxy_buffering on | off http, server, location as nginx (proxy)";
    assert_eq!(words.join(" "), expected);
}

#[test]
fn a_tree_has_its_includes_in_their_places() {
    let bench = Bench::new();
    fs::create_dir(bench.folder.path().join("sites")).unwrap();
    bench.write("sites/b", "server { listen 81; }\n");
    bench.write("sites/a", "server { listen 80; location / { include proxy; } }\n");
    bench.write("proxy", "proxy_pass http://x;\n");
    bench.write("types", "types { text/html html htm; include more; }");
    bench.write("more", "text/css css;");
    bench
        .write("t", "events { }\nhttp {\n include types;\n include sites/*;\n include none*;\n}\n");
    let tree = bench.read().unwrap();
    let http = tree.section("http").unwrap();
    let names: Vec<String> = http.block().iter().map(|d| d.name().into_owned()).collect();
    assert_eq!(names, ["types", "server", "server"]);
    let types = http.block()[0].block();
    assert_eq!((types.len(), types[1].arg(0)), (2, &b"css"[..]));
    let location = tree::find(http.block()[1].block(), "location").unwrap();
    let proxy_pass = &location.block()[0];
    assert_eq!((proxy_pass.family(), &*proxy_pass.text(0)), (Some(Family::Proxy), "http://x"));
    assert!(proxy_pass.place.file.ends_with("/proxy") && proxy_pass.place.line == Some(1));
    let files: Vec<_> = tree.files.iter().map(|file| file.path.file_name().unwrap()).collect();
    assert_eq!(files, ["t", "types", "more", "a", "proxy", "b"]);
    let dump = String::from_utf8(tree.dump()).unwrap();
    let path = bench.path();
    assert!(dump.starts_with(&format!("# configuration file {}:\nevents {{ }}\n", path.display())));
    assert!(dump.ends_with("sites/b:\nserver { listen 81; }\n\n"), "{dump}");
    assert_eq!(tree.notes, []);
}

#[test]
fn globals_come_first_and_share_the_top_with_the_file() {
    let bench = Bench::new();
    bench.write("t", "events { }\ndaemon on;\n");
    let read = |globals: &[&str]| {
        let globals = globals.iter().map(|global| (*global).to_owned()).collect();
        let prefix = bench.folder.path().to_owned();
        read(&bench.path(), &Options { prefix: prefix.clone(), conf_prefix: prefix, globals })
    };
    let tree = read(&["pid x; worker_processes 2;"]).unwrap();
    let names: Vec<String> = tree.main.iter().map(|d| d.name().into_owned()).collect();
    assert_eq!(names, ["pid", "worker_processes", "events", "daemon"]);
    let said = |globals| read(globals).unwrap_err()[0].to_string();
    let path = bench.path();
    let duplicate = format!("\"daemon\" directive is duplicate in {}:2", path.display());
    assert_eq!(said(&["daemon off;"]), duplicate);
    assert!(said(&["foo 1;"]).starts_with("unknown directive \"foo\" in command line\n  hint: "));
    assert_eq!(
        said(&["pid x"]).lines().next(),
        Some("unexpected end of parameter, expecting \";\" in command line")
    );
}

#[test]
fn what_does_nothing_is_noted_once() {
    let bench = Bench::new();
    let text = "sendfile on; gzip on; server { gzip off; tcp_nopush on; ssl_dhparam x;\n\
                server_name a\n listen 80; ssl_protocols TLSv1.2 TLSv1.2; auth_basic off; }";
    bench.write("t", &wrapped("http", text));
    let notes = bench.read().unwrap().notes;
    let said: Vec<String> = notes.iter().map(ToString::to_string).collect();
    let path = bench.path();
    let path = path.display();
    assert_eq!(
        said,
        [
            format!(
                "\"listen\" is an argument of \"server_name\" here in {path}:3\n  hint: is a ; \
             missing at the end of line 2?"
            ),
            format!("duplicate value \"TLSv1.2\" in {path}:3"),
            format!(
                "without effect here: sendfile (files are read and sent in sheen's own way); gzip \
             (answers are passed on uncompressed, or as the app compressed them); tcp_nopush \
             (heads and bodies always go together); ssl_dhparam (no key exchange with finite \
             fields is offered, only elliptic curves) in {path}"
            ),
        ]
    );
}

#[test]
fn problems_are_bounded() {
    let bench = Bench::new();
    bench.write("t", &"foo;\n".repeat(1000));
    assert_eq!(bench.read().unwrap_err().len(), crate::limits::CONFIG_PROBLEMS_MAX);
    bench.write("t", "include t*; events { }");
    assert!(bench.read().unwrap_err()[0].what.ends_with("includes itself"));
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
