//! What is written about an exchange and about a connection that failed.

use serde_json::Value;
use sheen_tests::client::Client;
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;

#[test]
fn a_combined_line_holds_nginxs_fields() {
    let app = Upstream::ok("0123456789");
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(
        "GET /a?b=c HTTP/1.1\r\nHost: app.test\r\nUser-Agent: Mozilla/5.0 (X11)\r\n\
         Referer: https://app.test/\r\n\r\n",
    );
    client.answer("GET");
    let line = sheen.access().wait_for("GET /a");
    let (before, rest) = line.split_once(" [").unwrap();
    assert_eq!(before, "127.0.0.1 - -");
    let (date, rest) = rest.split_once("] ").unwrap();
    assert_eq!(rest, "\"GET /a?b=c HTTP/1.1\" 200 10 \"https://app.test/\" \"Mozilla/5.0 (X11)\"");
    // 20/Nov/2026:21:36:40 +0000
    assert_eq!(date.len(), 26, "{date}");
    let separators: String = date.chars().filter(|c| !c.is_ascii_alphanumeric()).collect();
    assert!(separators == "//::: +" || separators == "//::: -", "{date}");
}

#[test]
fn what_is_missing_is_a_dash() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    sheen.client().get(NAME, "/");
    let line = sheen.access().wait_for("GET / ");
    assert!(line.ends_with("\"GET / HTTP/1.1\" 200 2 \"-\" \"-\""), "{line}");
}

#[test]
fn every_kind_of_exchange_has_one_line() {
    let app = Upstream::answering(
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let sheen = Setup::to(&app).limits("request_body_bytes = 5").start();
    sheen.client().get(NAME, "/missing");
    sheen.plain().get(NAME, "/redirected");
    let mut client = sheen.client();
    client.send("POST /large HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\n");
    client.answer("POST");
    let mut client = sheen.client();
    client.send("GET /twice HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n");
    client.answer("GET");
    for (words, status) in [
        ("GET /missing HTTP/1.1\" 404 3 ", 404),
        ("GET /redirected HTTP/1.1\" 301 ", 301),
        ("POST /large HTTP/1.1\" 413 ", 413),
        ("\" 400 ", 400),
    ] {
        sheen.access().wait_for(words);
        assert_eq!(sheen.access().count(&format!("\" {status} ")), 1, "{}", sheen.access().text());
    }
}

#[test]
fn quotes_and_controls_of_a_client_cannot_break_a_line() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(
        b"GET /\"x HTTP/1.1\r\nHost: app.test\r\nUser-Agent: a\"b\\c\td\xff\r\nReferer: \"\r\n\r\n",
    );
    client.answer("GET");
    let line = sheen.access().wait_for("GET /");
    assert!(line.contains("a\\x22b\\x5Cc\\x09d\\xFF"), "{line}");
    assert_eq!(line.matches('"').count(), 6, "{line}");
}

#[test]
fn json_lines_parse_and_hold_the_same() {
    let app = Upstream::ok("0123456789");
    let sheen = Setup::to(&app).log("format = \"json\"").start();
    let mut client = sheen.client();
    client.send(
        b"GET /a?b=\"c HTTP/1.1\r\nHost: app.test\r\nUser-Agent: a\"b\\c\td\xff\r\nReferer: https://x/\r\n\r\n",
    );
    client.answer("GET");
    let line = sheen.access().wait_for("/a?b=");
    let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let text = value.to_string();
    for expected in ["127.0.0.1", "/a?b=", "https://x/", "app.test"] {
        assert!(text.contains(expected), "{expected} in {line}");
    }
    let object = value.as_object().unwrap();
    assert!(object.values().any(|value| value == 200 || value == "200"), "{line}");
    assert!(object.values().any(|value| value == 10 || value == "10"), "{line}");
}

#[test]
fn the_access_log_can_be_a_file_or_off() {
    let app = Upstream::ok("ok");
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("access.log");
    let sheen = Setup::to(&app).log(&format!("access = {path:?}")).start();
    sheen.client().get(NAME, "/");
    let holds = || std::fs::read_to_string(&path).is_ok_and(|text| text.contains("GET / "));
    wait::until("the line", holds);
    assert_eq!(sheen.access().text(), "");
    drop(sheen);
    let sheen = Setup::to(&app).log("access = \"off\"").start();
    sheen.client().get(NAME, "/");
    let access = sheen.access().clone();
    drop(sheen);
    assert_eq!(access.text(), "");
}

#[test]
fn a_failed_connection_is_told_in_words_with_its_stage() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).timeouts("request_head = \"300ms\"").start();
    let mut client = sheen.client();
    client.send("GET / HTT");
    client.rest();
    let line = sheen.log().wait_for("while reading client request headers");
    assert!(line.contains("[info]") && line.contains("client: 127.0.0.1"), "{line}");

    let mut client = Client::plain(sheen.https());
    client.send([0xff; 64]);
    client.rest();
    let line = sheen.log().wait_for("while SSL handshaking");
    assert!(line.contains("client: 127.0.0.1"), "{line}");
}

#[test]
fn a_refused_request_is_explained() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nContent-Length: x\r\n\r\n");
    client.rest();
    let line = sheen.log().wait_for("while reading client request headers");
    assert!(line.to_lowercase().contains("content-length"), "{line}");
}

#[test]
fn the_level_is_kept() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).log("level = \"error\"").start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\n\r\n");
    client.rest();
    sheen.client().get(NAME, "/");
    // What sheen says at start is no part of the error log.
    let logged = |line: &String| !line.starts_with("sheen: ") && line.contains(" [");
    assert!(!sheen.log().lines().iter().any(logged), "{}", sheen.log().text());
}

#[test]
fn the_start_says_version_rung_workers_and_listeners() {
    let app = Upstream::ok("ok");
    let sheen = Setup { workers: 2, ..Setup::to(&app) }.start();
    let text = sheen.log().text();
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let rungs = ["defer_taskrun", "coop_taskrun", "io_uring", "epoll"];
    assert!(rungs.iter().any(|rung| text.contains(rung)), "{text}");
    assert!(text.contains('2') && text.contains("worker"), "{text}");
    assert!(sheen.https().port() != 0 && sheen.http().port() != 0);
}
