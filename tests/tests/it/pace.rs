//! Connections that are busy, then still, then busy again: what waits in the ring is taken back and
//! nothing is lost (invariants 9 and 10).

use std::sync::mpsc;
use std::time::Duration;

use sheen_tests::client::Client;
use sheen_tests::sheen::{Setup, Sheen};
use sheen_tests::upstream::{Upstream, ok};

/// Short enough for a tick of 100 ms.
const SHORT: &str = "request_head = \"400ms\"";

/// Lets several ticks go by: a deadline of four ticks fires on another connection.
fn several_ticks(sheen: &Sheen) {
    let mut late = sheen.client();
    late.send("GET / HTTP/1.1\r\nHost: ap");
    assert_eq!(late.answer("GET").status(), 408);
}

fn busy(client: &mut Client) {
    for _ in 0..20 {
        assert_eq!(client.get("app.test", "/").text(), "ok");
    }
}

#[test]
fn a_busy_client_that_falls_silent_is_still_served() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).timeouts(SHORT).start();
    for mut client in [sheen.client(), sheen.client()] {
        for _ in 0..3 {
            busy(&mut client);
            several_ticks(&sheen);
        }
    }
    assert_eq!(app.connections(), 1, "the pooled connection was good all the time");
}

#[test]
fn a_request_in_pieces_arrives_whole_on_a_busy_connection() {
    let sheen = Setup::to(&Upstream::mirror()).timeouts(SHORT).start();
    let mut client = sheen.client();
    for length in [1, 100, 16_000, 17_000, 40_000, 200_000] {
        let body = "x".repeat(length);
        let head = format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {length}\r\n\r\n");
        for _ in 0..3 {
            client.send_pieces([&head.as_bytes()[..20], &head.as_bytes()[20..], body.as_bytes()]);
            assert_eq!(client.answer("POST").status(), 200);
            assert_eq!(client.get("app.test", "/").status(), 200);
        }
    }
}

#[test]
fn an_answer_that_takes_several_ticks_arrives_on_a_pooled_connection() {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let app = Upstream::start(move |conn| {
        while let Some(request) = conn.request() {
            if request.head.line.contains("/slow") {
                released.lock().unwrap().recv().unwrap();
            }
            conn.send(ok("ok"));
        }
    });
    let sheen = Setup::to(&app).timeouts(SHORT).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        busy(&mut client);
        client.send("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n");
        several_ticks(&sheen);
        assert!(client.is_quiet_for(Duration::from_millis(1)));
        release.send(()).unwrap();
        assert_eq!(client.answer("GET").text(), "ok");
    }
    assert_eq!(app.connections(), 1);
}
