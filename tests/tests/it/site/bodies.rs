//! Requests with bodies that nobody wants, error pages for them, and large files.

use std::fs;
use std::io::Read;

use sheen_tests::client::Client;
use sheen_tests::nginx;
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::Upstream;
use sheen_tests::{is_pattern, pattern, wait};

use super::{Pair, table};

/// The status lines of what came, and the bodies of files among them.
fn outline(answers: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answers);
    let lines = text.split("HTTP/1.1 ").skip(1).map(|answer| {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
        let is_page = body.contains("<center>nginx") || body.contains("<html lang");
        let body = if is_page { "page" } else { body };
        format!("{} {body}", &head[..3])
    });
    lines.collect()
}

#[test]
fn a_body_that_nobody_wants_is_thrown_away_and_the_connection_goes_on() {
    if !nginx::is_installed() {
        return;
    }
    let pair = Pair::start(table::SITE);
    let chunked = "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let sized = "Content-Length: 5\r\n\r\nhello";
    let last = "GET /about.html HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    for target in [
        "/plain/a.txt",
        "/plain/none",
        "/plain/sub",
        "/down/",
        "/downfile/",
        "/caught/",
        "/gone/x",
        "/spa/x",
        "/downapp/x",
        "/none/x",
    ] {
        for method in ["GET", "POST", "PUT"] {
            for body in [sized, chunked] {
                let raw = format!("{method} {target} HTTP/1.1\r\nHost: app.test\r\n{body}{last}");
                let (ours, theirs) = (pair.ours(&raw), pair.theirs(&raw));
                assert_eq!(outline(&ours), outline(&theirs), "{raw}");
            }
        }
    }
}

#[test]
fn a_body_too_large_is_refused_with_the_page_for_it_and_the_connection_ends() {
    if !nginx::is_installed() {
        return;
    }
    let pair = Pair::start(table::SITE);
    let last = "GET /about.html HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
    let raw = format!(
        "POST /limited/a.txt HTTP/1.1\r\nHost: app.test\r\n\
                       Content-Length: 5\r\n\r\nhello{last}"
    );
    let (ours, theirs) = (outline(&pair.ours(&raw)), outline(&pair.theirs(&raw)));
    assert_eq!(ours, theirs);
    assert_eq!(ours, ["413 <p>sorry, the app is gone"]);
    pair.sheen.sheen.expect_log("client intended to send too large body: 5 bytes");
}

#[test]
fn an_app_that_stops_in_the_middle_of_an_upload_gets_its_page() {
    let app = Upstream::start(|conn| {
        conn.head();
        conn.reset_on_close();
    });
    let http = "server { listen 127.0.0.1:HTTP_PORT; client_max_body_size 0;
        error_page 502 /50x.html; location = /50x.html { root ROOT; }
        location / { proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    for words in ["upstream", "Connection reset", "Broken pipe"] {
        running.sheen.allow_log(words);
    }
    fs::write(running.sheen.dir.path().join("50x.html"), "sorry").unwrap();
    let mut client = Client::plain(running.http);
    let len = 64 << 20;
    client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\nhello"));
    let answer = client.answer("POST");
    assert_eq!((answer.status(), &*answer.text()), (502, "sorry"));
    assert_eq!(answer.field("connection"), Some("close"));
}

#[test]
fn an_app_that_answers_an_upload_with_an_error_too_early_gets_its_page() {
    let app = Upstream::start(|conn| {
        conn.head();
        conn.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        conn.rest();
    });
    let http = "server { listen 127.0.0.1:HTTP_PORT; client_max_body_size 0;
        error_page 403 /no.html; location = /no.html { root ROOT; }
        location / { proxy_pass http://APP; proxy_intercept_errors on; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    fs::write(running.sheen.dir.path().join("no.html"), "not you").unwrap();
    let mut client = Client::plain(running.http);
    let len = 64 << 20;
    client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\nhello"));
    let answer = client.answer("POST");
    assert_eq!((answer.status(), &*answer.text()), (403, "not you"));
    assert_eq!(answer.field("connection"), Some("close"));
}

#[test]
fn a_client_that_waits_for_leave_to_send_a_body_is_answered_without_it() {
    let http = "server { listen 127.0.0.1:HTTP_PORT; root ROOT; }";
    let running = Running::start(http, &[NAME]);
    let mut client = Client::plain(running.http);
    client.send(
        "POST /site.crt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    let answer = client.answer("POST");
    assert_eq!((answer.status(), answer.interim.len()), (405, 0));
    assert_eq!(answer.field("connection"), Some("close"));
    client.closes();
}

#[test]
fn a_client_of_http_1_0_keeps_its_connection_if_it_asks() {
    let http = "server { listen 127.0.0.1:HTTP_PORT; root ROOT; }";
    let running = Running::start(http, &[NAME]);
    let mut client = Client::plain(running.http);
    for _ in 0..2 {
        client.send("GET /site.crt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let answer = client.answer("GET");
        assert_eq!((answer.status(), answer.field("connection")), (200, Some("keep-alive")));
    }
    client.send("GET /site.crt HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer("GET").field("connection"), Some("close"));
    client.closes();
}

#[test]
fn a_large_file_reaches_a_slow_reader_and_takes_little_memory() {
    const SIZE: usize = 24 << 20;
    let http = "server { listen 127.0.0.1:HTTP_PORT; listen 127.0.0.1:HTTPS ssl; root ROOT;
        ssl_certificate ROOT/site.crt; ssl_certificate_key ROOT/site.key; }";
    let running = Running::start(http, &[NAME]);
    let path = running.sheen.dir.path().join("large.bin");
    fs::write(&path, pattern(0, SIZE)).unwrap();
    assert_eq!(running.get(NAME, "/none").status(), 404);
    running.sheen.expect_log("No such file");
    let before = running.sheen.rss_peak_bytes();
    let clients = [Client::plain(running.http), Client::tls(running.https, NAME)];
    for mut client in clients {
        client
            .send(format!("GET /large.bin HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        // Others are served while this one does not read.
        for _ in 0..20 {
            assert_eq!(running.get(NAME, "/site.crt").status(), 200);
        }
        let mut body = Vec::new();
        client.read_to_end(&mut body).unwrap();
        assert!(body.len() == SIZE && is_pattern(0, &body), "{} bytes", body.len());
    }
    let grown = running.sheen.rss_peak_bytes() - before;
    // The buffers of two connections, whatever the allocator makes of them.
    assert!(grown < SIZE as u64 / 2, "{grown} bytes for a file of {SIZE}");
}

#[test]
fn a_client_that_takes_nothing_of_a_file_is_given_up() {
    let http = "send_timeout 1s; server { listen 127.0.0.1:HTTP_PORT; root ROOT;
        access_log ROOT/access.log; }";
    let running = Running::start(http, &[NAME]);
    fs::write(running.sheen.dir.path().join("large.bin"), pattern(0, 16 << 20)).unwrap();
    let mut client = Client::plain(running.http);
    client.small_receive_buffer();
    client.send("GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    let log = running.sheen.dir.path().join("access.log");
    let line = || fs::read_to_string(&log).unwrap_or_default();
    wait::until("its line", || line().ends_with('\n'));
    let text = line();
    let mut words = text.split("\" 200 ").nth(1).unwrap_or_default().split(' ');
    let sent: u64 = words.next().unwrap_or_default().parse().unwrap();
    assert!((1..16 << 20).contains(&sent), "{text}");
}
