//! The upgrade to WebSocket: what is let through, what is refused, and that nothing flows before
//! the 101.

use std::time::Duration;

use sheen_tests::message::{self, Source};
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::{Upstream, ok};
use sheen_tests::websocket::{self, KEY, accept, echo_app, echoes, open, request, switching};
use tungstenite::Message;

#[test]
fn messages_of_every_size_come_back() {
    let app = echo_app();
    let sheen = Setup::to(&app).start();
    let mut socket = open(&sheen);
    for len in [1, 125, 126, 1400, 16_383, 16_384, 16_385, 65_535, 65_536, 1 << 20, 16 << 20] {
        let bytes = sheen_tests::pattern(len as u64, len);
        socket.send(Message::binary(bytes.clone())).unwrap();
        assert!(socket.read().unwrap() == Message::binary(bytes), "{len} bytes");
    }
    echoes(&mut socket, "");
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

#[test]
fn many_small_messages_come_back_in_order() {
    let app = echo_app();
    let sheen = Setup::to(&app).start();
    let mut socket = open(&sheen);
    for number in 0..2000 {
        socket.write(Message::text(format!("message {number}"))).unwrap();
    }
    socket.flush().unwrap();
    for number in 0..2000 {
        assert_eq!(socket.read().unwrap(), Message::text(format!("message {number}")));
    }
}

#[test]
fn the_app_sees_a_proper_upgrade() {
    let app = Upstream::start(|conn| {
        let head = conn.head();
        assert_eq!(head.line, "GET /websocket/ HTTP/1.1");
        assert_eq!(head.field("upgrade"), Some("websocket"));
        assert_eq!(
            head.field("connection").map(str::to_ascii_lowercase).as_deref(),
            Some("upgrade")
        );
        assert_eq!(head.field("sec-websocket-key"), Some(KEY));
        assert_eq!(head.field("sec-websocket-version"), Some("13"));
        assert_eq!(head.field("sec-websocket-protocol"), Some("a, b"));
        assert_eq!(head.field("origin"), Some("https://app.test"));
        assert_eq!(head.field("x-forwarded-proto"), Some("https"));
        let accepted = switching(KEY).replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: b\r\n\r\n");
        conn.send(accepted);
        conn.rest();
    });
    let sheen = Setup::to(&app).site("hsts = \"max-age=1\"").start();
    let mut client = sheen.client();
    client.send(request("/websocket/").replace(
        "\r\n\r\n",
        "\r\nSec-WebSocket-Protocol: a, b\r\nOrigin: https://app.test\r\n\r\n",
    ));
    let answer = client.answer("GET");
    assert_eq!((answer.status(), answer.field("sec-websocket-protocol")), (101, Some("b")));
    assert_eq!(answer.field("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
    assert_eq!(answer.field("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
}

#[test]
fn firefoxs_connection_field_and_other_cases_are_understood() {
    let app = echo_app();
    let sheen = Setup::to(&app).start();
    for (from, to) in [
        ("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
        ("Connection: Upgrade", "connection: UPGRADE"),
        ("Upgrade: websocket", "Upgrade: WebSocket"),
    ] {
        let mut client = sheen.client();
        client.send(request("/").replace(from, to));
        assert_eq!(client.answer("GET").status(), 101, "{to}");
    }
}

/// Answers an upgrade with `answer` and returns the client's answer; the app must get no further
/// bytes.
fn answered_with(answer: &'static str, log: &str) -> u16 {
    let app = Upstream::start(move |conn| {
        conn.head();
        conn.send(answer);
        assert_eq!(conn.rest(), b"", "bytes of the client reached the app");
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log(log);
    let mut client = sheen.client();
    client.send(request("/") + "early bytes");
    client.answer("GET").status()
}

#[test]
fn a_101_without_the_right_accept_is_a_502() {
    for answer in [
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n\r\n",
    ] {
        assert_eq!(answered_with(answer, "upstream: "), 502, "{answer}");
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer_and_the_next_request_another_connection() {
    let app = Upstream::start(|conn| {
        conn.answer_all(|request| match request.head.field("upgrade") {
            Some(_) => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno".to_vec(),
            None => ok("plain").into_bytes(),
        });
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(request("/"));
    let answer = client.answer("GET");
    assert_eq!((answer.status(), answer.text().as_str()), (403, "no"));
    if answer.field("connection") == Some("close") {
        client.closes();
        client = sheen.client();
    }
    assert_eq!(client.get(NAME, "/").text(), "plain");
    // invariant 5: a connection on which an upgrade was tried is never reused
    assert_eq!(app.connections(), 2);
}

#[test]
fn a_200_to_an_upgrade_is_no_tunnel() {
    let app = Upstream::start(|conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        assert_eq!(conn.rest(), b"", "bytes of the client reached the app");
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(request("/") + "GET /smuggled HTTP/1.1\r\nHost: internal\r\n");
    let answer = client.answer("GET");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
}

#[test]
fn bytes_sent_early_are_held_until_the_101() {
    let app = Upstream::start(|conn| {
        let head = conn.head();
        conn.set_timeout(Duration::from_millis(300));
        assert!(!conn.fill() && conn.buffer().is_empty(), "bytes before the 101");
        conn.set_timeout(sheen_tests::wait::DEADLINE);
        conn.send(switching(head.field("sec-websocket-key").unwrap()));
        assert_eq!(message::read_exactly(conn, 11).unwrap(), b"early bytes");
        conn.send("late");
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(request("/") + "early");
    client.send(" bytes");
    assert_eq!(client.answer("GET").status(), 101);
    assert_eq!(message::read_exactly(&mut client, 4).unwrap(), b"late");
}

#[test]
fn bytes_of_the_app_behind_the_101_arrive() {
    let app = Upstream::start(|conn| {
        let head = conn.head();
        conn.send(switching(head.field("sec-websocket-key").unwrap()) + "at once");
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(request("/"));
    assert_eq!(client.answer("GET").status(), 101);
    assert_eq!(message::read_exactly(&mut client, 7).unwrap(), b"at once");
}

/// Status of the answer to a changed upgrade, and whether the app saw an Upgrade field.
fn changed(sheen: &Sheen, app: &Upstream, request: &str) -> (u16, bool) {
    let mut client = sheen.client();
    client.send(request);
    let status = client.answer("GET").status();
    (status, app.received().to_ascii_lowercase().contains("\r\nupgrade:"))
}

#[test]
fn an_upgrade_that_is_not_a_get_without_a_body_never_reaches_the_app_as_one() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let get = request("/");
    let body = get.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello");
    let chunked = get.replace("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    for changed_request in [
        get.replace("GET", "POST"),
        get.replace("GET", "PUT"),
        get.replace("HTTP/1.1", "HTTP/1.0"),
        body.replace("GET", "POST"),
        body,
        chunked,
    ] {
        let (status, upgraded) = changed(&sheen, &app, &changed_request);
        assert!([200, 400].contains(&status), "{status} for {changed_request}");
        assert!(!upgraded, "{changed_request}");
    }
}

#[test]
fn a_handshake_that_is_none_is_refused() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let get = request("/");
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    for (changed_request, expected) in [
        (get.replace(&key, ""), 400),
        (get.replace(KEY, ""), 400),
        (get.replace(KEY, "dG9vIHNob3J0"), 400),
        (get.replace(KEY, "!!!!!!!!!!!!!!!!!!!!!!=="), 400),
        (get.replace(&key, &key.repeat(2)), 400),
        (get.replace("Version: 13", "Version: 8"), 426),
        (get.replace("Version: 13", "Version: 14"), 426),
        (get.replace("Sec-WebSocket-Version: 13\r\n", ""), 400),
    ] {
        let (status, upgraded) = changed(&sheen, &app, &changed_request);
        let allowed = status == expected || (expected == 400 && status == 426);
        assert!(allowed && !upgraded, "{status} for {changed_request}");
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn a_426_names_the_version() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(request("/").replace("Version: 13", "Version: 8"));
    let answer = client.answer("GET");
    assert_eq!((answer.status(), answer.field("sec-websocket-version")), (426, Some("13")));
}

#[test]
fn fields_that_connection_names_are_removed_from_an_upgrade_too() {
    let app = Upstream::start(|conn| {
        let head = conn.head();
        assert_eq!(head.field("x-internal"), None, "{}", head.raw);
        assert_eq!(head.field("keep-alive"), None, "{}", head.raw);
        conn.send(switching(KEY));
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(request("/").replace(
        "Connection: Upgrade",
        "Connection: Upgrade, X-Internal\r\nX-Internal: 1\r\nKeep-Alive: 5",
    ));
    assert_eq!(client.answer("GET").status(), 101);
}

#[test]
fn an_upgrade_after_ordinary_requests_uses_the_same_client_connection() {
    let app = Upstream::start(|conn| {
        while let Ok(Some(request)) = conn.try_request() {
            if let Some(key) = request.head.field("sec-websocket-key") {
                conn.send(switching(key));
                let word = message::read_exactly(conn, 4).unwrap();
                conn.send(word);
                return;
            }
            conn.send(ok("plain"));
        }
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        assert_eq!(client.get(NAME, "/").text(), "plain");
    }
    websocket::upgrade(&mut client);
    client.send("ping");
    assert_eq!(message::read_exactly(&mut client, 4).unwrap(), b"ping");
}

#[test]
fn an_app_that_hangs_up_on_an_upgrade_is_a_502() {
    let app = Upstream::start(|conn| {
        conn.head();
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("while reading response header from upstream");
    let mut client = sheen.client();
    client.send(request("/"));
    assert_eq!(client.answer("GET").status(), 502);
}

#[test]
fn plain_http_proxies_websockets_when_asked_to() {
    let app = Upstream::start(|conn| {
        accept(conn);
        let word = message::read_exactly(conn, 4).unwrap();
        conn.send(word);
    });
    let sheen = Setup::to(&app).site("http = \"proxy\"").start();
    let mut client = sheen.plain();
    client.send(request("/"));
    assert_eq!(client.answer("GET").status(), 101);
    client.send("ping");
    assert_eq!(message::read_exactly(&mut client, 4).unwrap(), b"ping");
    client.closes();
}
