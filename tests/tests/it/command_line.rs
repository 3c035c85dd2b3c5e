//! The command line: help, version, the check of a configuration, and `proxy` without a file.

use std::fs;
use std::path::Path;
use std::process::Command;

use sheen_tests::pki::{self, KeyKind};
use sheen_tests::sheen::{NAME, Setup, Sheen, binary, run};
use sheen_tests::upstream::Upstream;
use tempfile::TempDir;

/// Exit code, stdout and stderr together.
fn ran(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(dir, arguments);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn help_and_version_are_printed() {
    let dir = TempDir::new().unwrap();
    for argument in ["--help", "-v", "-V"] {
        let (code, text) = ran(dir.path(), &[argument]);
        assert_eq!(code, Some(0), "{argument}: {text}");
        assert!(text.contains("sheen"), "{argument}: {text}");
    }
    assert!(ran(dir.path(), &["-v"]).1.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let sheen = Command::new(binary()).arg("directives").stdout(writer).output().unwrap();
    let words = String::from_utf8_lossy(&sheen.stderr);
    assert!(sheen.status.success() && words.is_empty(), "{words}");
}

#[test]
fn the_table_of_directives_is_printed() {
    let dir = TempDir::new().unwrap();
    let (code, text) = ran(dir.path(), &["directives"]);
    assert_eq!(code, Some(0), "{text}");
    for name in ["proxy_pass ", "ssl_certificate ", "fastcgi_* ", "sendfile "] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
}

#[test]
fn a_good_configuration_is_called_good() {
    let dir = TempDir::new().unwrap();
    let config = Setup::to_address("127.0.0.1:3838").write(dir.path());
    let config = config.to_str().unwrap();
    for arguments in [&["-t", "-c", config][..], &["check", "-c", config]] {
        let (code, text) = ran(dir.path(), arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        assert!(!text.is_empty());
    }
}

#[test]
fn every_problem_of_a_configuration_is_named_at_once() {
    let dir = TempDir::new().unwrap();
    let mut setup = Setup::to_address("127.0.0.1:3838")
        .site("hsts = \"sometimes\"")
        .timeouts("keep_alive = \"soon\"\nhandshak = \"1s\"")
        .limits("request_fields = 100000");
    let config = setup.write(dir.path());
    let (code, text) = ran(dir.path(), &["-t", "-c", config.to_str().unwrap()]);
    assert!(code != Some(0), "{text}");
    for words in ["sometimes", "soon", "handshak", "handshake", "request_fields", "sheen.toml:"] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[test]
fn a_missing_file_and_broken_toml_are_told_by_name() {
    let dir = TempDir::new().unwrap();
    let (code, text) = ran(dir.path(), &["-c", "nowhere.toml"]);
    assert!(code != Some(0) && text.contains("nowhere.toml"), "{text}");
    fs::write(dir.path().join("broken.toml"), "workers = \n").unwrap();
    let (code, text) = ran(dir.path(), &["-t", "-c", "broken.toml"]);
    assert!(code != Some(0) && text.contains("broken.toml:1"), "{text}");
}

#[test]
fn a_missing_certificate_stops_the_start_and_is_told_by_name() {
    let dir = TempDir::new().unwrap();
    let mut setup = Setup::to_address("127.0.0.1:3838");
    setup.sites[0].files = vec![("/nowhere/a.pem".into(), "/nowhere/b.pem".into())];
    let config = setup.write(dir.path());
    for arguments in [&["-t", "-c"][..], &["-c"]] {
        let arguments = [arguments, &[config.to_str().unwrap()]].concat();
        let (code, text) = ran(dir.path(), &arguments);
        assert!(code.is_some_and(|code| code != 0), "{text}");
        assert!(text.contains("/nowhere/a.pem"), "{text}");
    }
}

#[test]
fn an_address_in_use_stops_the_start_and_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let mut setup =
        Setup::to_address("127.0.0.1:3838").top(&format!("listen_http = [{address:?}]"));
    let config = setup.write(dir.path());
    let (code, text) = ran(dir.path(), &["-c", config.to_str().unwrap()]);
    assert!(code.is_some_and(|code| code != 0), "{text}");
    assert!(text.contains(&address), "{text}");
}

#[test]
fn proxy_serves_without_a_file() {
    let app = Upstream::mirror();
    let dir = TempDir::new().unwrap();
    let (cert, key) = pki::issue(&[NAME], KeyKind::Ecdsa).write(dir.path(), "site");
    let arguments = [
        "proxy",
        "--from",
        NAME,
        "--to",
        app.address(),
        "--cert",
        cert.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--listen-https",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
        "--hsts",
        "max-age=63072000; includeSubDomains",
    ];
    let sheen = Sheen::spawn(Setup::to(&app), dir, &arguments);
    let answer = sheen.client().get(NAME, "/");
    let hsts = answer.field("strict-transport-security");
    assert_eq!(hsts, Some("max-age=63072000; includeSubDomains"));
    assert_eq!(answer.mirrored().field("x-forwarded-proto"), Some("https"));
    let answer = sheen.plain().get(NAME, "/x");
    let expected = format!("https://app.test:{}/x", sheen.https().port());
    assert_eq!(answer.field("location"), Some(expected.as_str()));
}

#[test]
fn proxy_without_a_certificate_makes_one_and_warns() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let arguments = [
        "proxy",
        "--from",
        NAME,
        "--to",
        app.address(),
        "--listen-https",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
    ];
    let sheen = Sheen::spawn(Setup::to(&app), dir, &arguments);
    let trusting = sheen_tests::client::Offer { trusting: true, ..Default::default() }.config();
    let mut client = sheen_tests::client::Client::tls_with(sheen.https(), NAME, &trusting).unwrap();
    assert_eq!(client.get(NAME, "/").text(), "ok");
    assert!(sheen.log().text().to_lowercase().contains("development certificate"));
}
