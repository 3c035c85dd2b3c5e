//! What the checker says, line by line, and what it makes of what is right.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::homes;
use super::load::{Source, load};
use super::names::parse_hsts;
use super::native::{Loaded, check_text, fuzz_parse, parse};
use super::values::{parse_duration, parse_size};
use super::*;
use crate::limits::CONFIG_BYTES_MAX;

/// Each case: `<<<`, a text, `>>>`, what is said of it, hints after an arrow.
const SAID: &str = include_str!("tests/said.txt");

const SITE: &str = "[[site]]\nto = \":3838\"\ncertificates = [{ cert = \"c\", key = \"k\" }]\n";

/// Every key outside of sites, none at its default.
const EVERY_KEY: &str = r#"
workers = 3
runtime = "epoll"
listen_https = ["127.0.0.1:8443", ":0"]
listen_http = []
trusted_proxies = ["10.1.2.3", "fd00::/8"]
tls.protocols = ["1.3"]
log = { access = "log/a", format = "json", error = "stdout", level = "debug" }
[limits]
connections = 1000
connections_per_address = "off"
request_head_bytes = 65536
request_target_bytes = "8k"
request_fields = 200
request_body_bytes = "2g"
response_head_bytes = "128k"
[timeouts]
handshake = "1s"
request_head = "2s"
request_body = "3s"
keep_alive = "0s"
upstream_connect = "250ms"
upstream_answer = "1m30s"
upstream_idle = "0ms"
send = "6s"
tunnel_idle = "20d"
drain = "0s"
"#;

/// Knows `app.test` and nobody else.
fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match host {
        "app.test" => Ok(vec![
            SocketAddr::from(([192, 0, 2, 7], port)),
            SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], port)),
        ]),
        "empty.test" => Ok(Vec::new()),
        _ => Err(io::Error::other("no such name")),
    }
}

/// Checks `text`, with a site after it if it has none.
fn checked(text: &str) -> Result<Loaded, Vec<Problem>> {
    let site = if text.contains("site") { "" } else { SITE };
    check_text(&format!("{text}\n{site}"), "t", Path::new("/etc/sheen"), resolve)
}

fn config(text: &str) -> Config {
    checked(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}")).config
}

fn said(problems: &[Problem]) -> String {
    let line = |problem: &Problem| problem.to_string().replace("\n  hint: ", " -> ");
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cases() -> Vec<(&'static str, &'static str)> {
    let cases = SAID.split("<<<\n").skip(1);
    cases.map(|case| case.split_once("\n>>>\n").expect("a case has an answer")).collect()
}

#[test]
fn says_exactly_this() {
    let cases = cases();
    assert!(cases.len() >= 60);
    for (text, expected) in cases {
        let got = match checked(text) {
            Ok(loaded) => said(&loaded.warnings),
            Err(problems) => said(&problems),
        };
        assert!(!got.is_empty(), "nothing is said of\n{text}");
        assert_eq!(got, expected.trim_end(), "of\n{text}");
    }
}

#[test]
fn example_holds_the_defaults() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("example.toml");
    let loaded = load(&Source::file(&file)).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.limits, Limits::default());
    let mut bare =
        parse("[[site]]\nto = \"127.0.0.1:3838\"", "/etc/sheen/bare.toml").unwrap().config;
    bare.sites[0].names = loaded.config.sites[0].names.clone();
    bare.sites[0].certificates = loaded.config.sites[0].certificates.clone();
    assert_eq!(loaded.config, bare);
}

#[test]
fn example_shows_every_key() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("example.toml");
    let text = fs::read_to_string(file).unwrap();
    for (table, key) in homes() {
        let shown = text.contains(&format!("{key} = ")) || text.contains(&format!("{key}]"));
        assert!(shown, "{key} of {table}");
    }
}

#[test]
fn every_key_reaches_the_config() {
    let Config { workers, runtime, listeners, trusted_proxies, protocols, log, limits, .. } =
        config(EVERY_KEY);
    assert_eq!((workers, runtime), (3, Runtime::Exactly(Rung::Epoll)));
    let addresses: Vec<(String, bool, bool)> =
        listeners.iter().map(|l| (l.address.to_string(), l.tls, l.optional)).collect();
    let expected = [("127.0.0.1:8443", false), ("0.0.0.0:0", false), ("[::]:0", true)];
    assert_eq!(addresses, expected.map(|(text, optional)| (text.to_owned(), true, optional)));
    let nets: Vec<String> = trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["10.1.2.3/32", "fd00::/8"]);
    assert_eq!(protocols, Protocols { tls12: false, tls13: true });
    assert_eq!(
        log,
        LogConfig {
            access: [LogTarget::File(PathBuf::from("/etc/sheen/log/a"))].into(),
            format: AccessFormat::Json,
            error: LogTarget::Stdout,
            level: Level::Debug,
        }
    );
    let seconds = Duration::from_secs;
    assert_eq!(
        limits,
        Limits {
            connections_max: Some(1000),
            connections_per_address_max: Some(u32::MAX),
            request_head_bytes_max: 65536,
            request_target_bytes_max: 8192,
            request_fields_max: 200,
            request_body_bytes_max: Some(2 << 30),
            response_head_bytes_max: 128 << 10,
            timeouts: crate::limits::Timeouts {
                handshake: seconds(1),
                request_head: seconds(2),
                request_body: seconds(3),
                keep_alive: Duration::ZERO,
                upstream_connect: Duration::from_millis(250),
                upstream_answer: seconds(90),
                upstream_idle: Duration::ZERO,
                send: seconds(6),
                tunnel_idle: seconds(20 * 86400),
                drain: Duration::ZERO,
            },
        }
    );
}

#[test]
fn sites_and_locations_reach_the_config() {
    let sites = config(
        r#"
        [[site]]
        names = ["Shiny.Test", "*.apps.test", "[::1]", "192.0.2.1", "xn--bcher-kva.test", "my_app"]
        certificates = [{ cert = "rsa.pem", key = "/k/rsa.key" }, { cert = "ec.pem", key = "ec.key" }]
        hsts = " max-age=63072000; includeSubDomains "
        http = "redirect-308"
        acme_webroot = "off"
        app = "connect"
        [[site.location]]
        prefix = "/"
        to = "http://app.test:3939/"
        [[site.location]]
        prefix = "/rstudio/"
        strip_prefix = true
        app = "workbench"
        to = "unix:rstudio.sock"
        [[site]]
        names = ["other.test"]
        to = ":3838"
        http = "proxy"
        "#,
    )
    .sites;
    assert_eq!(
        sites[0].names,
        ["shiny.test", "*.apps.test", "::1", "192.0.2.1", "xn--bcher-kva.test", "my_app"]
    );
    let (cert, key) = ("/etc/sheen/rsa.pem".into(), "/k/rsa.key".into());
    let rsa = CertificateFiles { cert, key, passphrases: None };
    assert_eq!(sites[0].certificates.len(), 2);
    assert_eq!(sites[0].certificates[0], rsa);
    assert_eq!(sites[0].hsts.as_deref(), Some("max-age=63072000; includeSubDomains"));
    assert_eq!((sites[0].http, sites[1].http), (PlainHttp::Redirect308, PlainHttp::Proxy));

    let [rstudio, root] = &sites[0].locations[..] else { panic!("two locations") };
    assert_eq!((rstudio.prefix.as_str(), rstudio.strip_prefix), ("/rstudio/", true));
    assert_eq!((rstudio.app, root.app), (App::Workbench, App::Connect));
    let sock = UpstreamAddress::Unix("/etc/sheen/rstudio.sock".into());
    assert_eq!(rstudio.upstream.addresses, [sock]);
    assert_eq!(root.upstream.name, "http://app.test:3939/");
    let tcp = |text: &str| UpstreamAddress::Tcp(text.parse().unwrap());
    assert_eq!(root.upstream.addresses, [tcp("192.0.2.7:3939"), tcp("[2001:db8::7]:3939")]);
    assert_eq!(
        sites[1].locations[0].upstream.addresses,
        [tcp("127.0.0.1:3838"), tcp("[::1]:3838")]
    );
}

#[test]
fn reads_durations_and_sizes() {
    for (text, ms) in [
        ("250ms", 250),
        ("30s", 30_000),
        ("5m", 300_000),
        ("12h", 43_200_000),
        ("20d", 1_728_000_000),
        ("1m30s", 90_000),
        ("1w2d3h4m5s6ms", 788_645_006),
        ("00s", 0),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in ["s", "1", "1 s", "1s ", "-1s", "1S", "1s1s", "1é", "é", "18446744073709551616s"]
    {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    for (text, bytes) in
        [("0", 0), ("4096", 4096), ("64k", 65536), ("50M", 50 << 20), ("2g", 2 << 30)]
    {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    for text in ["", "k", "1kb", "1 k", "-1", "1.5m", "9223372036854775808", "8589934592g", "1é"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}

#[test]
fn takes_what_rfc_6797_takes() {
    for text in [
        "max-age=0",
        "max-age=31536000",
        "MAX-AGE=\"15768000\" ; includesubdomains",
        ";max-age=1;;",
        "includeSubDomains; max-age=63072000; preload",
    ] {
        let hsts = parse_hsts(text).unwrap();
        assert!(hsts.warnings.is_empty(), "{text}: {:?}", hsts.warnings);
    }
}

#[test]
fn reports_a_file_that_is_no_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sheen.toml");
    let only = |what: &str| {
        let problems = load(&Source::file(&file)).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].what.contains(what), "{problems:?}");
        assert!(problems[0].hint.is_some());
        problems[0].line
    };
    assert_eq!(only("failed (2: No such file or directory)"), None);
    fs::write(&file, b"workers = 1\n# caf\xe9\n").unwrap();
    assert_eq!(only("is not UTF-8 text"), Some(2));
    fs::write(&file, vec![b'\n'; usize::try_from(CONFIG_BYTES_MAX).unwrap() + 1]).unwrap();
    assert_eq!(only("larger than 1 MiB"), None);
}

#[test]
fn survives_deep_and_wide_texts() {
    fuzz_parse(&"[".repeat(200_000));
    fuzz_parse(&format!("a = {}", "[".repeat(200_000)));
    fuzz_parse(&format!("a{} = 1", ".a".repeat(100_000)));
    fuzz_parse(&"{a=".repeat(100_000));
    fuzz_parse(&"workres = 1\n".repeat(10_000));
    fuzz_parse(&format!(
        "{} = 1\n[[site]]\nnames = [\"{}\"]",
        "x".repeat(100_000),
        "é.".repeat(90_000)
    ));
}

#[test]
fn survives_the_corpus_and_its_mutations() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/config");
    let mut seeds: Vec<Vec<u8>> =
        cases().iter().map(|(text, _)| text.as_bytes().to_vec()).collect();
    let mut files: Vec<PathBuf> =
        fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    seeds.extend(files.iter().map(|file| fs::read(file).unwrap()));
    for seed in &seeds {
        fuzz_parse(&String::from_utf8_lossy(seed));
    }
    let mut random = Random(7);
    for _ in 0..2_000 {
        let mut text = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut text, &seeds, &mut random);
        }
        fuzz_parse(&String::from_utf8_lossy(&text));
    }
}

/// Xorshift: the same mutations on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).expect("below a usize")
    }
}

fn mutate(text: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    const TOKENS: [&str; 12] = [
        "\"",
        "[",
        "]]",
        "=",
        "\n",
        "-1",
        "{",
        "'",
        "\u{0}",
        "é",
        "[[site]]\n",
        "99999999999999999999",
    ];
    let at = random.below(text.len() + 1);
    match random.below(5) {
        0 if at < text.len() => text[at] ^= 1 << random.below(8),
        1 => text.truncate(at),
        2 => drop(text.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
        3 => {
            let end = (at + random.below(8)).min(text.len());
            text.drain(at..end);
        }
        _ => text.extend_from_slice(&seeds[random.below(seeds.len())]),
    }
}
