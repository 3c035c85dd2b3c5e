//! The same small suite on every way to wait for the kernel; the rung in use is said at start.

use sheen_tests::client::End;
use sheen_tests::message::{self, read_head};
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::Upstream;
use sheen_tests::websocket::{accept, upgrade};
use sheen_tests::{is_pattern, pattern, wait};

/// An app that accepts upgrades and returns a body as it came.
fn app() -> Upstream {
    Upstream::start(|conn| {
        if conn.index == 0 {
            conn.answer_all(|request| {
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
                [head.as_bytes(), &request.body].concat()
            });
            return;
        }
        accept(conn);
        let word = message::read_exactly(conn, 4).unwrap();
        conn.send(word);
        conn.rest();
    })
}

fn small_suite(runtime: &str, workers: usize) {
    let app = app();
    let setup = Setup { workers, ..Setup::to(&app) };
    let sheen = setup.top(&format!("runtime = {runtime:?}")).start();
    if runtime != "auto" {
        assert!(sheen.log().holds(runtime), "{}", sheen.log().text());
    }
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").status(), 200);
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.answer("POST").text(), "abc");

    const LEN: usize = 30 << 20;
    client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {LEN}\r\n\r\n"));
    client.send(pattern(0, LEN));
    let answer = client.answer("POST");
    assert!(answer.body.len() == LEN && is_pattern(0, &answer.body));

    let mut tunnel = sheen.client();
    upgrade(&mut tunnel);
    wait::pass(std::time::Duration::from_millis(100));
    tunnel.send("ping");
    assert_eq!(message::read_exactly(&mut tunnel, 4).unwrap(), b"ping");
    tunnel.close_notify();
    assert_eq!(tunnel.rest(), (Vec::new(), End::Clean));

    let mut plain = sheen.plain();
    for _ in 0..3 {
        assert_eq!(plain.get(NAME, "/x").status(), 301);
    }
    plain.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
    assert_eq!(read_head(&mut plain).unwrap().unwrap().status(), 301);
    plain.rest();
}

/// Deadlines and ends, which depend on how a wait is given up.
fn waits_end(runtime: &str) {
    let silent = Upstream::start(|conn| {
        conn.request();
        conn.rest();
    });
    let sheen = Setup::to(&silent)
        .top(&format!("runtime = {runtime:?}"))
        .timeouts("keep_alive = \"300ms\"\nhandshake = \"300ms\"\nupstream_answer = \"300ms\"")
        .start();
    sheen.expect_log("while reading response header from upstream");
    let mut idle = sheen.client();
    idle.closes();
    assert_eq!(sheen.client().get(NAME, "/").status(), 504);
    for _ in 0..20 {
        drop(sheen.client());
    }
    assert_eq!(sheen.plain().get(NAME, "/").status(), 301);
}

#[test]
fn auto_takes_one_that_works() {
    small_suite("auto", 2);
    waits_end("auto");
}

#[test]
fn defer_taskrun_works() {
    small_suite("defer_taskrun", 1);
    waits_end("defer_taskrun");
}

#[test]
fn coop_taskrun_works() {
    small_suite("coop_taskrun", 1);
    waits_end("coop_taskrun");
}

#[test]
fn io_uring_without_flags_works() {
    small_suite("io_uring", 1);
    waits_end("io_uring");
}

#[test]
fn epoll_works() {
    small_suite("epoll", 2);
    waits_end("epoll");
}
