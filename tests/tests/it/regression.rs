//! Bugs that were found and fixed: one story a test, which fails without the fix.

use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;
use sheen_tests::sheen::{NAME, Reload, Setup};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;

/// The search for the end of a head went on at a place in bytes that had been thrown away as an
/// empty line: a CR, and later its LF, made the worker panic.
#[test]
fn an_empty_line_in_two_pieces_before_a_request_is_skipped() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    for before in [&["\r", "\n"][..], &["\r\n", "\r", "\n"], &["\r", "\n\r", "\n"]] {
        let mut client = sheen.client();
        client.send_pieces(before.iter().map(|piece| piece.as_bytes()));
        assert_eq!(client.get(NAME, "/").text(), "ok", "{before:?}");
    }
}

/// The same search skipped over a bare LF that came right behind a split empty line.
#[test]
fn a_bare_lf_behind_a_split_empty_line_is_refused() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    sheen.allow_log("bare");
    let mut client = sheen.client();
    client.send_pieces([b"\r".as_slice(), b"\n\nGET / HTTP/1.1\r\nHost: app.test\r\n\r\n"]);
    assert_eq!(client.answer("GET").status(), 400);
    assert_eq!(app.connections(), 0);
}

/// A worker without connections ended before its listeners were closed, and the kernel went on
/// giving it connections that nobody took.
#[test]
fn a_drain_closes_the_listeners_of_idle_workers_too() {
    let (app, go) = Upstream::patient();
    let mut setup = Setup::to(&app).timeouts("drain = \"20s\"");
    setup.workers = 4;
    let mut sheen = setup.start();
    let https = sheen.https();
    let mut busy = sheen.client();
    busy.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    wait::until("the request", || app.open() == 1);
    sheen.signal(Signal::QUIT);
    for _ in 0..16 {
        wait::until("the end of listening", || TcpStream::connect(https).is_err());
    }
    go.store(true, Ordering::SeqCst);
    assert_eq!(busy.answer("GET").text(), "finished");
    // A client that has not gone is waited for.
    drop(busy);
    assert!(sheen.wait().success());
}

/// A connection that stayed open kept the configuration it was accepted under.
#[test]
fn a_reload_reaches_connections_that_are_kept_alive() {
    let (old, new) = (Upstream::ok("old"), Upstream::ok("new"));
    let mut sheen = Setup::to(&old).start();
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").text(), "old");
    let address = new.address().to_owned();
    let reload = sheen.reload(|setup| *setup = Setup::to_address(&address));
    assert!(matches!(reload, Reload::Done), "the new file is right");
    wait::until("the new app", || client.get(NAME, "/").text() == "new");
}

/// The time of a request counted from the end of the one before it.
#[test]
fn the_logged_time_of_a_request_does_not_count_the_idle_time_before_it() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).log("format = \"json\"").start();
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/first").text(), "ok");
    assert!(client.is_quiet_for(Duration::from_millis(1200)));
    assert_eq!(client.get(NAME, "/second").text(), "ok");
    let line = sheen.access().wait_for("/second");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(line["request_time_ms"].as_u64().unwrap() < 1000, "{line}");
}

/// The app's own HSTS went out over plain HTTP, where no browser may believe it.
#[test]
fn the_hsts_of_the_app_does_not_go_out_over_plain_http() {
    let app = Upstream::answering(
        "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 2\r\n\r\nok",
    );
    let sheen = Setup::to(&app).site("http = \"proxy\"").start();
    assert_eq!(sheen.plain().get(NAME, "/").field("strict-transport-security"), None);
    let over_tls = sheen.client().get(NAME, "/");
    assert_eq!(over_tls.field("strict-transport-security"), Some("max-age=1"));
}

/// Requests that were refused before their head was whole had no access line.
#[test]
fn a_request_refused_for_a_bare_lf_has_an_access_line() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET /bare HTTP/1.1\nHost: app.test\n\n");
    assert_eq!(client.answer("GET").status(), 400);
    assert!(sheen.access().wait_for("/bare").contains("\" 400 "));
}

/// A 204 to HEAD kept its Content-Length, which RFC 9110 section 8.6 forbids.
#[test]
fn a_204_to_head_has_no_content_length() {
    let app = Upstream::answering("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let answer = client.answer("HEAD");
    assert_eq!((answer.status(), answer.field("content-length")), (204, None));
}
