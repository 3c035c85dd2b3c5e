//! Fields of one hop are removed in both directions, and nobody can name the proxy's own away.

use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::Upstream;

/// What the app saw of a GET with these fields.
fn seen(fields: &str) -> sheen_tests::message::Head {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n"));
    client.answer("GET").mirrored()
}

#[test]
fn fields_of_one_hop_do_not_reach_the_app() {
    let seen = seen(
        "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         TE: trailers\r\nProxy-Authorization: Basic eA==\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\
         X-End: 1\r\n",
    );
    for name in ["keep-alive", "proxy-connection", "te", "http2-settings"] {
        assert_eq!(seen.field(name), None, "{}", seen.raw);
    }
    assert_eq!(seen.field("x-end"), Some("1"));
}

#[test]
fn every_field_that_any_connection_line_names_is_removed() {
    let seen = seen(
        "X-A: 1\r\nConnection: x-a, keep-alive\r\nX-B: 2\r\nconnection:X-C ,, x-B\r\n\
         x-c: 3\r\nX-D: 4\r\nX-a: 5\r\n",
    );
    for name in ["x-a", "x-b", "x-c", "connection"] {
        assert_eq!(seen.values(name), Vec::<&str>::new(), "{}", seen.raw);
    }
    assert_eq!(seen.field("x-d"), Some("4"));
}

#[test]
fn connection_cannot_take_away_what_sheen_says() {
    for list in [
        "close, X-Forwarded-Proto, cookie",
        "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Port, X-Real-IP, X-Forwarded-Proto",
        "Host, x-forwarded-proto, X-RStudio-Request",
    ] {
        let seen = seen(&format!("Connection: {list}\r\nX-Real-IP: 6.6.6.6\r\n"));
        assert_eq!(seen.field("host"), Some(NAME), "{list}");
        assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"), "{list}");
        assert_eq!(seen.field("x-real-ip"), Some("127.0.0.1"), "{list}");
        assert_eq!(seen.field("x-forwarded-proto"), Some("https"), "{list}");
        assert_eq!(seen.field("x-forwarded-host"), Some(NAME), "{list}");
        assert_eq!(seen.field("x-forwarded-port"), Some("443"), "{list}");
    }
}

#[test]
fn connection_cannot_take_away_the_framing() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: app.test\r\nConnection: Content-Length\r\nContent-Length: 3\r\n\r\nabc",
    );
    let answer = client.answer("POST");
    assert!(answer.text() == "abc" || answer.status() == 400, "{}", answer.head.raw);
    let mut client = sheen.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: app.test\r\nConnection: Transfer-Encoding\r\n\
         Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let answer = client.answer("POST");
    assert!(answer.text() == "abc" || answer.status() == 400, "{}", answer.head.raw);
}

#[test]
fn an_upgrade_to_h2c_is_never_passed_on() {
    for upgrade in ["h2c", "h2c, websocket", "HTTP/2.0", "TLS/1.0"] {
        let app = Upstream::mirror();
        let sheen = Setup::to(&app).start();
        let mut client = sheen.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             Upgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        ));
        let answer = client.answer("GET");
        if answer.status() == 400 {
            continue;
        }
        let seen = answer.mirrored();
        assert_eq!(seen.field("upgrade"), None, "{}", seen.raw);
        assert_eq!(seen.field("http2-settings"), None, "{}", seen.raw);
        assert!(!seen.raw.contains("h2c"), "{}", seen.raw);
    }
}

#[test]
fn upgrade_without_connection_is_not_passed_on() {
    let seen = seen("Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    assert_eq!(seen.field("upgrade"), None, "{}", seen.raw);
}

#[test]
fn fields_of_one_hop_do_not_reach_the_client() {
    let app = Upstream::answering(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Internal\r\nKeep-Alive: timeout=5\r\n\
         X-Internal: secret\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-End: 1\r\n\
         Proxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nok",
    );
    let sheen = Setup::to(&app).start();
    let answer = sheen.client().get(NAME, "/");
    for name in ["keep-alive", "x-internal", "proxy-connection", "upgrade"] {
        assert_eq!(answer.field(name), None, "{}", answer.head.raw);
    }
    assert_eq!(answer.field("x-end"), Some("1"));
    assert_eq!(answer.text(), "ok");
}
