//! Keep-alive and pipelining: several requests on a connection, answered in order, however they are
//! cut.

use std::time::Duration;

use sheen_tests::client::End;
use sheen_tests::message::Source;
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::{Upstream, ok};

/// An app whose body names the target and holds the request's body.
fn naming_app() -> Upstream {
    Upstream::start(|conn| {
        conn.answer_all(|request| {
            let body = String::from_utf8_lossy(&request.body);
            ok(&format!("{}|{body}", request.head.line)).into_bytes()
        });
    })
}

#[test]
fn requests_one_after_the_other_share_both_connections() {
    let app = naming_app();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for turn in 0..20 {
        let answer = client.get(NAME, &format!("/{turn}"));
        assert_eq!(answer.text(), format!("GET /{turn} HTTP/1.1|"));
        assert_ne!(answer.field("connection"), Some("close"));
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn requests_in_one_write_are_answered_in_order() {
    let app = Upstream::start(|conn| {
        conn.answer_all(|request| {
            // The first is the slowest; nothing may overtake it.
            if request.head.line.contains("/0 ") {
                sheen_tests::wait::pass(Duration::from_millis(100));
            }
            ok(&request.head.line).into_bytes()
        });
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    let requests: String =
        (0..30).map(|turn| format!("GET /{turn} HTTP/1.1\r\nHost: app.test\r\n\r\n")).collect();
    client.send(requests);
    for turn in 0..30 {
        assert_eq!(client.answer("GET").text(), format!("GET /{turn} HTTP/1.1"));
    }
}

#[test]
fn bodies_between_pipelined_requests_stay_with_their_own() {
    let app = naming_app();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(MIXED);
    for expected in MIXED_ANSWERS {
        assert_eq!(client.answer("POST").text(), *expected);
    }
}

/// Requests with every framing, one behind the other.
const MIXED: &str = "POST /a HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc\
    GET /b HTTP/1.1\r\nHost: app.test\r\n\r\n\
    POST /c HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n\
    2;ext=\"1\"\r\nde\r\n1\r\nf\r\n0\r\n\r\n\
    POST /d HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n\
    GET /e HTTP/1.1\r\nHost: app.test\r\n\r\n";
const MIXED_ANSWERS: &[&str] = &[
    "POST /a HTTP/1.1|abc",
    "GET /b HTTP/1.1|",
    "POST /c HTTP/1.1|def",
    "POST /d HTTP/1.1|",
    "GET /e HTTP/1.1|",
];

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    let app = naming_app();
    let sheen = Setup::to(&app).start();
    for cut in 1..MIXED.len() {
        let mut client = sheen.client();
        let (first, second) = MIXED.as_bytes().split_at(cut);
        client.send_pieces([first, second]);
        for expected in MIXED_ANSWERS {
            assert_eq!(client.answer("POST").text(), *expected, "cut at byte {cut}");
        }
    }
}

#[test]
fn one_byte_a_record_changes_nothing() {
    let app = naming_app();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send_pieces(MIXED.as_bytes().chunks(1));
    for expected in MIXED_ANSWERS {
        assert_eq!(client.answer("POST").text(), *expected);
    }
}

#[test]
fn connection_close_is_obeyed_and_said() {
    let app = naming_app();
    let sheen = Setup::to(&app).start();
    for value in ["close", "Close", "keep-alive, close", "x , CLOSE"] {
        let mut client = sheen.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: {value}\r\n\r\n\
             GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n"
        ));
        assert_eq!(client.answer("GET").field("connection"), Some("close"), "{value}");
        client.closes();
    }
    assert!(!app.received().contains("hidden"));
}

#[test]
fn http_1_0_closes_unless_it_asks_to_keep_alive() {
    let app = naming_app();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n");
    assert_eq!(client.answer("GET").status(), 200);
    client.closes();

    let mut client = sheen.client();
    client.send("GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n");
    let answer = client.answer("GET");
    let kept = answer.field("connection").map(str::to_ascii_lowercase);
    if kept.as_deref() == Some("keep-alive") {
        client.send("GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.answer("GET").status(), 200);
    } else {
        client.closes();
    }
}

#[test]
fn an_upstream_that_closes_does_not_close_the_client() {
    let app =
        Upstream::answering("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for _ in 0..5 {
        let answer = client.get(NAME, "/");
        assert_eq!(answer.text(), "ok");
        assert_ne!(answer.field("connection"), Some("close"));
    }
    assert_eq!(app.connections(), 5);
}

#[test]
fn a_half_closed_client_still_gets_its_answer() {
    let app = Upstream::start(|conn| {
        conn.answer_all(|_| {
            sheen_tests::wait::pass(Duration::from_millis(200));
            ok("late").into_bytes()
        });
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    client.close_notify();
    assert_eq!(client.answer("GET").text(), "late");
    client.closes();
}

#[test]
fn connections_of_several_clients_do_not_mix() {
    let app = naming_app();
    let sheen = Setup { workers: 2, ..Setup::to(&app) }.start();
    let mut clients: Vec<_> = (0..20).map(|_| sheen.client()).collect();
    for round in 0..5 {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /{round}/{number} HTTP/1.1\r\nHost: app.test\r\n\r\n"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let text = client.answer("GET").text();
            assert_eq!(text, format!("GET /{round}/{number} HTTP/1.1|"));
            assert!(client.buffer().is_empty());
        }
    }
}

#[test]
fn a_client_that_leaves_within_a_head_is_no_fault() {
    let app = naming_app();
    let sheen = Setup::to(&app).start();
    for part in ["", "G", "GET / HTTP/1.1\r\nHost: ap"] {
        let mut client = sheen.client();
        client.send(part);
        client.close_notify();
        let (bytes, end) = client.rest();
        assert!(bytes.is_empty() && end != End::Reset, "{part:?} {end:?}");
        let mut client = sheen.client();
        client.send(part);
        drop(client);
    }
    assert_eq!(sheen.client().get(NAME, "/").status(), 200);
    assert_eq!(app.received().matches("HTTP/1.1\r\n").count(), 1);
}
