//! Every wait on the network has an end, and the end says what was waited for (invariant 3).

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use sheen_tests::client::{Client, End};
use sheen_tests::message;
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::{Upstream, ok};
use sheen_tests::wait;

const LIMIT: &str = "400ms";
/// No deadline may fire before this.
const TOO_EARLY: Duration = Duration::from_millis(350);
/// Every deadline must have fired by then, on a busy machine as well.
const TOO_LATE: Duration = Duration::from_secs(8);

/// Runs `deed`, which must take as long as the deadline, and not much longer.
fn at_the_deadline<T>(deed: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let result = deed();
    let took = begun.elapsed();
    assert!(took > TOO_EARLY && took < TOO_LATE, "after {took:?}");
    result
}

#[test]
fn a_handshake_that_never_begins_ends() {
    let sheen = Setup::to(&Upstream::ok("ok")).timeouts(&format!("handshake = {LIMIT:?}")).start();
    let mut client = Client::plain(sheen.https());
    at_the_deadline(|| client.rest());
}

#[test]
fn a_handshake_that_stops_half_way_ends() {
    let sheen = Setup::to(&Upstream::ok("ok")).timeouts(&format!("handshake = {LIMIT:?}")).start();
    let mut client = Client::plain(sheen.https());
    client.send_raw(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    at_the_deadline(|| client.rest());
}

#[test]
fn a_handshake_of_single_bytes_gets_no_more_time() {
    let sheen = Setup::to(&Upstream::ok("ok")).timeouts("handshake = \"1s\"").start();
    let mut client = Client::plain(sheen.https());
    let begun = Instant::now();
    let record = [&[0x16, 3, 1, 2, 0][..], &[0; 512]].concat();
    for byte in record {
        if client.try_send([byte]).is_err() || begun.elapsed() > TOO_LATE {
            break;
        }
        wait::pass(Duration::from_millis(50));
    }
    assert!(begun.elapsed() < TOO_LATE);
}

#[test]
fn a_head_that_never_ends_is_a_408() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).timeouts(&format!("request_head = {LIMIT:?}")).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: ap");
    let answer = at_the_deadline(|| client.answer("GET"));
    assert_eq!((answer.status(), answer.field("connection")), (408, Some("close")));
    client.closes();
    assert_eq!(app.connections(), 0);
}

#[test]
fn a_head_of_single_bytes_gets_no_more_time() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).timeouts("request_head = \"1s\"").start();
    let mut client = sheen.client();
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nX: ");
    while begun.elapsed() < TOO_LATE && client.is_quiet_for(Duration::from_millis(50)) {
        let _ = client.try_send("x");
    }
    assert!(begun.elapsed() < TOO_LATE);
    let (bytes, _) = client.rest();
    assert!(bytes.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&bytes));
}

#[test]
fn a_first_request_that_never_comes_ends_silently() {
    let timeouts = format!("request_head = {LIMIT:?}\nkeep_alive = {LIMIT:?}");
    let sheen = Setup::to(&Upstream::ok("ok")).timeouts(&timeouts).start();
    let mut client = sheen.client();
    at_the_deadline(|| client.closes());
    let mut client = sheen.plain();
    at_the_deadline(|| client.closes());
}

#[test]
fn an_idle_connection_ends_silently() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).timeouts(&format!("keep_alive = {LIMIT:?}")).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        wait::pass(Duration::from_millis(150));
        assert_eq!(client.get(NAME, "/").text(), "ok");
    }
    at_the_deadline(|| client.closes());
    let mut client = sheen.plain();
    assert_eq!(client.get(NAME, "/").status(), 301);
    at_the_deadline(|| client.closes());
}

#[test]
fn an_upload_that_stalls_is_a_408() {
    let app = Upstream::start(|conn| {
        assert!(conn.try_request().is_err());
    });
    let sheen = Setup::to(&app).timeouts(&format!("request_body = {LIMIT:?}")).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(at_the_deadline(|| client.answer("POST")).status(), 408);
    client.closes();
    wait::until("the end of the app's connection", || app.open() == 0);
}

#[test]
fn a_slow_upload_that_moves_is_not_cut() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).timeouts(&format!("request_body = {LIMIT:?}")).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n");
    for _ in 0..10 {
        wait::pass(Duration::from_millis(100));
        client.send("x");
    }
    assert_eq!(client.answer("POST").text(), "xxxxxxxxxx");
}

/// A listener whose queue is full: a further connect hangs.
fn deaf() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
        assert!(queued.len() < 64, "the queue never fills");
    }
    (listener, queued, address)
}

#[test]
fn an_app_that_takes_no_connection_is_a_504() {
    let (_listener, _queued, address) = deaf();
    let sheen = Setup::to_address(&address.to_string())
        .timeouts(&format!("upstream_connect = {LIMIT:?}"))
        .start();
    sheen.expect_log("while connecting to upstream");
    let mut client = sheen.client();
    assert_eq!(at_the_deadline(|| client.get(NAME, "/")).status(), 504);
}

#[test]
fn a_unix_socket_that_takes_no_connection_is_a_gateway_error() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _queued = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let sheen = Setup::to_address(&format!("unix:{}", path.display()))
        .timeouts(&format!("upstream_connect = {LIMIT:?}"))
        .start();
    sheen.expect_log("while connecting to upstream");
    let status = sheen.client().get(NAME, "/").status();
    assert!([502, 504].contains(&status), "{status}");
}

#[test]
fn an_app_that_never_answers_is_a_504() {
    for part in ["", "HTTP/1.1 200 OK\r\nContent-"] {
        let app = Upstream::start(move |conn| {
            conn.request();
            conn.send(part);
            conn.rest();
        });
        let sheen = Setup::to(&app).timeouts(&format!("upstream_answer = {LIMIT:?}")).start();
        sheen.expect_log("while reading response header from upstream");
        let mut client = sheen.client();
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
        assert_eq!(at_the_deadline(|| client.answer("GET")).status(), 504, "{part:?}");
        wait::until("the end of the app's connection", || app.open() == 0);
    }
}

#[test]
fn an_answer_that_stalls_never_ends_cleanly() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        conn.rest();
    });
    let sheen = Setup::to(&app).timeouts(&format!("upstream_answer = {LIMIT:?}")).start();
    sheen.expect_log("while reading upstream");
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let (bytes, end) = at_the_deadline(|| client.rest());
    assert!(bytes.ends_with(b"abc"), "{}", String::from_utf8_lossy(&bytes));
    assert!(matches!(end, End::Truncated | End::Reset), "{end:?}");
}

#[test]
fn a_slow_answer_that_moves_is_not_cut() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
        for _ in 0..10 {
            wait::pass(Duration::from_millis(100));
            conn.send("x");
        }
        conn.rest();
    });
    let sheen = Setup::to(&app).timeouts(&format!("upstream_answer = {LIMIT:?}")).start();
    assert_eq!(sheen.client().get(NAME, "/").text(), "xxxxxxxxxx");
}

#[test]
fn the_answer_deadline_does_not_run_while_the_client_uploads() {
    let app = Upstream::echo();
    let timeouts = format!("upstream_answer = {LIMIT:?}\nrequest_body = \"5s\"");
    let sheen = Setup::to(&app).timeouts(&timeouts).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\n");
    for byte in ["a", "b", "c"] {
        wait::pass(Duration::from_millis(600));
        client.send(byte);
    }
    assert_eq!(client.answer("POST").text(), "abc");
}

#[test]
fn a_client_that_takes_nothing_ends() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n");
        let piece = sheen_tests::pattern(0, 1 << 20);
        while conn.send(&piece) {}
    });
    let sheen = Setup::to(&app).timeouts(&format!("send = {LIMIT:?}")).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    wait::until("the app's connection", || app.open() == 1);
    wait::until("the end of the app's connection", || app.open() == 0);
    let (_, end) = client.rest();
    assert!(matches!(end, End::Truncated | End::Reset), "{end:?}");
}

#[test]
fn an_app_that_takes_nothing_is_a_504() {
    let app = Upstream::start(|conn| {
        conn.head();
        wait::pass(Duration::from_secs(4));
    });
    let sheen = Setup::to(&app).timeouts(&format!("send = {LIMIT:?}")).start();
    sheen.expect_log("while sending request to upstream");
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\n");
    let piece = sheen_tests::pattern(0, 1 << 20);
    for _ in 0..100 {
        if client.try_send(&piece).is_err() {
            break;
        }
    }
    let status = client.answer("POST").status();
    assert!([502, 504].contains(&status), "{status}");
}

#[test]
fn an_unused_connection_to_the_app_is_closed() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).timeouts(&format!("upstream_idle = {LIMIT:?}")).start();
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").text(), "ok");
    wait::until("the close of the idle connection", || app.open() == 0);
    assert_eq!(client.get(NAME, "/").text(), "ok");
    assert_eq!(app.connections(), 2);
}

#[test]
fn a_refused_client_that_keeps_sending_still_reads_its_answer() {
    let app = Upstream::start(|conn| {
        while let Ok(Some(_)) = conn.try_request() {
            conn.send(ok("ok"));
        }
    });
    let sheen = Setup::to(&app).limits("request_body_bytes = 10").start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5000000\r\n\r\n");
    for _ in 0..5 {
        if client.try_send(vec![b'x'; 1_000_000]).is_err() {
            break;
        }
    }
    let head = message::read_head(&mut client).unwrap().unwrap();
    assert_eq!(head.status(), 413);
}
