//! Strict-Transport-Security: on every answer over TLS when asked for, never over plain HTTP, once.

use sheen_tests::client::Client;
use sheen_tests::sheen::{NAME, Setup, Site};
use sheen_tests::upstream::Upstream;

const HSTS: &str = "max-age=63072000; includeSubDomains; preload";
const FIELD: &str = "strict-transport-security";
const WITH_ITS_OWN: &str = "HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\n\
    strict-transport-security: max-age=2\r\nContent-Length: 2\r\n\r\nok";

fn asked() -> String {
    format!("hsts = {HSTS:?}")
}

#[test]
fn it_is_on_every_answer_of_a_connection() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).site(&asked()).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        assert_eq!(client.get(NAME, "/").field(FIELD), Some(HSTS));
    }
    client.send("HEAD / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!(client.answer("HEAD").field(FIELD), Some(HSTS));
}

#[test]
fn it_is_off_unless_asked_for() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    assert_eq!(sheen.client().get(NAME, "/").field(FIELD), None);
}

#[test]
fn it_replaces_the_apps_own() {
    let app = Upstream::answering(WITH_ITS_OWN);
    let sheen = Setup::to(&app).site(&asked()).start();
    assert_eq!(sheen.client().get(NAME, "/").head.values(FIELD), [HSTS]);
}

#[test]
fn it_is_on_answers_of_every_framing() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    ] {
        let app = Upstream::answering(answer);
        let sheen = Setup::to(&app).site(&asked()).start();
        assert_eq!(sheen.client().get(NAME, "/").field(FIELD), Some(HSTS), "{answer}");
    }
}

#[test]
fn it_is_on_our_own_error_pages() {
    let sheen = Setup::to_address("127.0.0.1:1")
        .site(&asked())
        .limits("request_head_bytes = 2048\nrequest_target_bytes = 1024\nrequest_body_bytes = 5")
        .start();
    sheen.expect_log("while connecting to upstream");
    let long = "x".repeat(3000);
    for (status, request) in [
        (502, "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n".to_owned()),
        (413, "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 6\r\n\r\n123456".to_owned()),
        (431, format!("GET / HTTP/1.1\r\nHost: app.test\r\nX: {long}\r\n\r\n")),
        (414, format!("GET /{} HTTP/1.1\r\nHost: app.test\r\n\r\n", &long[..1500])),
        (400, "GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n".to_owned()),
    ] {
        let mut client = sheen.client();
        client.send(request);
        let answer = client.answer("GET");
        assert_eq!((answer.status(), answer.field(FIELD)), (status, Some(HSTS)));
    }
}

#[test]
fn it_is_never_sent_over_plain_http() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).site(&asked()).start();
    let answer = sheen.plain().get(NAME, "/");
    assert_eq!((answer.status(), answer.field(FIELD)), (301, None));
    drop(sheen);
    let sheen = Setup::to(&app).site(&asked()).site("http = \"proxy\"").start();
    let answer = sheen.plain().get(NAME, "/");
    assert_eq!((answer.status(), answer.field(FIELD)), (200, None));
    let mut client = sheen.plain();
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.answer("GET").field(FIELD), None);
}

#[test]
fn it_is_each_sites_own() {
    let app = Upstream::ok("ok");
    let mut setup = Setup::to(&app).site(&asked());
    setup.sites.push(Site::new(&["other.test"], app.address()));
    let sheen = setup.start();
    assert_eq!(sheen.client().get(NAME, "/").field(FIELD), Some(HSTS));
    let answer = Client::tls(sheen.https(), "other.test").get("other.test", "/");
    assert_eq!((answer.status(), answer.field(FIELD)), (200, None));
}
