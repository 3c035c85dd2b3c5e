//! Answers before the answer: Expect: 100-continue, which sheen answers itself, and 103, which it
//! passes on.

use std::time::Duration;

use sheen_tests::message::{self, Head};
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::Upstream;

const POST: &str =
    "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        client.send(POST);
        let interim = message::read_head(&mut client).unwrap().unwrap();
        assert_eq!(interim.status(), 100);
        client.send("abc");
        let answer = client.answer("POST");
        assert_eq!((answer.interim.len(), answer.text().as_str()), (0, "abc"));
    }
}

#[test]
fn a_100_of_the_app_is_not_passed_twice() {
    let app = Upstream::start(|conn| {
        while let Ok(Some(_)) = message::read_head(conn) {
            conn.send("HTTP/1.1 100 Continue\r\n\r\n");
            message::read_exactly(conn, 3).unwrap();
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(POST);
    assert_eq!(message::read_head(&mut client).unwrap().unwrap().status(), 100);
    client.send("abc");
    let answer = client.answer("POST");
    assert_eq!((answer.interim, answer.head.status()), (Vec::<Head>::new(), 200));
}

#[test]
fn a_body_that_does_not_wait_for_the_100_arrives_once() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(format!("{POST}abcGET /next HTTP/1.1\r\nHost: app.test\r\n\r\n"));
    assert_eq!(client.answer("POST").text(), "abc");
    assert_eq!(client.answer("GET").status(), 200);
}

#[test]
fn another_expectation_is_refused_or_passed() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\nExpect: miracles\r\n\r\nabc",
    );
    let status = client.answer("POST").status();
    assert!([200, 400, 417].contains(&status), "{status}");
}

#[test]
fn an_http_1_0_client_is_not_sent_a_100() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(POST.replace("HTTP/1.1", "HTTP/1.0"));
    assert!(client.is_quiet_for(Duration::from_millis(200)));
    client.send("abc");
    let answer = client.answer("POST");
    assert_eq!((answer.interim.len(), answer.text().as_str()), (0, "abc"));
}

#[test]
fn a_103_reaches_the_client_at_once_and_before_the_answer() {
    let app = Upstream::start(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
            sheen_tests::wait::pass(Duration::from_millis(300));
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let sheen = Setup::to(&app).site("hsts = \"max-age=1\"").start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let hints = message::read_head(&mut client).unwrap().unwrap();
    assert_eq!((hints.status(), hints.field("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(client.answer("GET").text(), "ok");
    assert_eq!(client.get(NAME, "/").interim.len(), 1);
}

#[test]
fn an_http_1_0_client_is_not_sent_a_103() {
    let app = Upstream::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n");
    let answer = client.answer("GET");
    assert_eq!((answer.interim.len(), answer.text().as_str()), (0, "ok"));
}

#[test]
fn interim_answers_without_end_are_a_fault_of_the_app() {
    let app = Upstream::start(|conn| {
        conn.request();
        while conn.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(100)) {}
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("upstream: ");
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    if let Ok(answer) = client.try_answer("GET") {
        assert_eq!(answer.status(), 502);
    }
}

#[test]
fn a_101_nobody_asked_for_is_a_502() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        );
        assert_eq!(conn.rest(), b"", "the client's next bytes are not for a tunnel");
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("upstream: ");
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").status(), 502);
}
