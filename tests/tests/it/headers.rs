//! What the app is told about the client, and that nobody but sheen can say it.

use sheen_tests::client::Client;
use sheen_tests::message::Head;
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::Upstream;

/// What a mirroring app saw of a GET of `target` with these further fields.
fn seen_by_app(sheen: &Sheen, target: &str, fields: &str) -> Head {
    let mut client = sheen.client();
    client.send(format!("GET {target} HTTP/1.1\r\n{fields}\r\n"));
    client.answer("GET").mirrored()
}

#[test]
fn the_app_learns_address_scheme_host_and_port() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let seen = seen_by_app(&sheen, "/a?b=c", "Host: app.test:8443\r\n");
    assert_eq!(seen.line, "GET /a?b=c HTTP/1.1");
    assert_eq!(seen.field("host"), Some("app.test:8443"));
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.field("x-forwarded-host"), Some("app.test:8443"));
    assert_eq!(seen.field("x-forwarded-port"), Some("8443"));
    let seen = seen_by_app(&sheen, "/", "Host: app.test\r\n");
    assert_eq!(seen.field("x-forwarded-host"), Some("app.test"));
    assert_eq!(seen.field("x-forwarded-port"), Some("443"));
}

#[test]
fn plain_http_is_named_as_such() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).site("http = \"proxy\"").start();
    let seen = sheen.plain().get(NAME, "/").mirrored();
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-port"), Some("80"));
}

#[test]
fn other_fields_arrive_unchanged_and_in_order() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let fields = "Host: app.test\r\nAccept: text/html, */*;q=0.8\r\ncookie: a=b; c=d\r\n\
        X-One:  padded \r\nAuthorization: Basic eA==\r\nX-Two: \"q\"\r\nUser-Agent: x (y; z)\r\n\
        X-One: again\r\nX-CamelCase: Y\r\nContent-Type: a/b\r\n";
    let seen = seen_by_app(&sheen, "/", fields);
    let expected = [
        ("Accept", "text/html, */*;q=0.8"),
        ("cookie", "a=b; c=d"),
        ("X-One", "padded"),
        ("Authorization", "Basic eA=="),
        ("X-Two", "\"q\""),
        ("User-Agent", "x (y; z)"),
        ("X-One", "again"),
        ("X-CamelCase", "Y"),
        ("Content-Type", "a/b"),
    ];
    let passed: Vec<_> = seen
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|field| expected.contains(field))
        .collect();
    assert_eq!(passed, expected, "{}", seen.raw);
}

/// What an attacker may send to look like somebody else.
const SPOOFED: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Real-IP: 6.6.6.6\r\n\
    x-forwarded-proto: http\r\nX-Forwarded-Host: evil.test\r\nX-FORWARDED-PORT: 666\r\n\
    X_Forwarded_For: 6.6.6.6\r\nX-Forwarded_Proto: evil\r\nX.Forwarded.Host: evil.test\r\n\
    X_Real_IP: 6.6.6.6\r\nx.real-ip: 6.6.6.6\r\nX_FORWARDED_PORT: 666\r\n\
    Proxy: http://evil.test/\r\nX-RStudio-Request: https://evil.test/\r\n\
    X_RStudio_Request: https://evil.test/\r\nX-RSC-Request: https://evil.test/\r\n\
    X-Forwarded-Prefix: /evil\r\nX_RSC.Request: https://evil.test/\r\nForwarded: for=6.6.6.6\r\n";

#[test]
fn what_an_untrusted_client_says_of_itself_is_replaced() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let seen = seen_by_app(&sheen, "/", &format!("Host: app.test\r\n{SPOOFED}"));
    for evil in ["6.6.6.6", "7.7.7.7", "evil", "666"] {
        assert!(!seen.raw.contains(evil), "{evil} in {}", seen.raw);
    }
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-real-ip"), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.field("x-forwarded-host"), Some(NAME));
    assert_eq!(seen.field("proxy"), None);
}

#[test]
fn aliases_are_dropped_even_from_a_trusted_peer() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).top("trusted_proxies = [\"127.0.0.0/8\"]").start();
    let seen = seen_by_app(
        &sheen,
        "/",
        "Host: app.test\r\nX_Forwarded_For: 6.6.6.6\r\nX.Real.IP: 6.6.6.6\r\nProxy: evil\r\n",
    );
    assert!(!seen.raw.contains("6.6.6.6") && !seen.raw.contains("evil"), "{}", seen.raw);
}

#[test]
fn a_trusted_peer_is_believed_and_continued() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).top("trusted_proxies = [\"127.0.0.0/8\"]").start();
    let fields = "Host: app.test\r\nX-Forwarded-For: 10.0.0.1, 10.0.0.2\r\nX-Forwarded-Proto: http\r\n\
        X-Forwarded-Host: outer.test\r\nX-Real-IP: 10.0.0.1\r\n";
    let seen = seen_by_app(&sheen, "/", fields);
    assert_eq!(seen.field("x-forwarded-for"), Some("10.0.0.1, 10.0.0.2, 127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.field("x-forwarded-host"), Some("outer.test"));

    let fields = "Host: app.test\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n";
    let seen = seen_by_app(&sheen, "/", fields);
    assert_eq!(seen.field("x-forwarded-for"), Some("10.0.0.1, 10.0.0.2, 127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
}

#[test]
fn a_peer_outside_the_trusted_networks_is_not_believed() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).top("trusted_proxies = [\"10.0.0.0/8\", \"::1\"]").start();
    let seen = seen_by_app(&sheen, "/", "Host: app.test\r\nX-Forwarded-For: 6.6.6.6\r\n");
    assert_eq!(seen.field("x-forwarded-for"), Some("127.0.0.1"));
}

#[test]
fn workbench_and_connect_learn_their_public_address() {
    for (kind, field, other) in [
        ("workbench", "x-rstudio-request", "x-rsc-request"),
        ("connect", "x-rsc-request", "x-rstudio-request"),
    ] {
        let app = Upstream::mirror();
        let sheen = Setup::to(&app).site(&format!("app = {kind:?}")).start();
        let evil = "X-RStudio-Request: https://evil.test/\r\nX-RSC-Request: https://evil.test/\r\n";
        let seen = seen_by_app(&sheen, "/a/b?c=d", &format!("Host: app.test:8443\r\n{evil}"));
        assert_eq!(seen.field(field), Some("https://app.test:8443/a/b?c=d"));
        assert_eq!(seen.field(other), None);
        let seen = seen_by_app(&sheen, "/", "Host: app.test\r\n");
        assert_eq!(seen.field(field), Some("https://app.test/"));
    }
}

#[test]
fn a_shiny_app_gets_neither() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let seen = seen_by_app(&sheen, "/", "Host: app.test\r\n");
    assert_eq!((seen.field("x-rstudio-request"), seen.field("x-rsc-request")), (None, None));
}

#[test]
fn the_public_address_names_the_path_before_it_was_stripped() {
    let app = Upstream::mirror();
    let sheen = Setup::locations(format!(
        "[[site.location]]\nprefix = \"/rstudio/\"\nstrip_prefix = true\napp = \"workbench\"\nto = {:?}",
        app.address()
    ))
    .start();
    let seen = seen_by_app(&sheen, "/rstudio/x?y", "Host: app.test\r\n");
    assert_eq!(seen.line, "GET /x?y HTTP/1.1");
    assert_eq!(seen.field("x-rstudio-request"), Some("https://app.test/rstudio/x?y"));
}

#[test]
fn every_request_of_a_connection_gets_its_own_fields() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let mut client: Client = sheen.client();
    for port in [1, 22, 333] {
        let seen = client.get(&format!("app.test:{port}"), "/").mirrored();
        assert_eq!(seen.field("x-forwarded-port"), Some(port.to_string().as_str()));
    }
}

#[test]
fn the_answer_keeps_its_fields_and_gains_no_server_of_ours() {
    let app = Upstream::answering(
        "HTTP/1.1 299 Odd One\r\nServer: httpuv\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\
         X-Accel-Buffering: no\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok",
    );
    let sheen = Setup::to(&app).start();
    let answer = sheen.client().get(NAME, "/");
    assert_eq!(answer.head.line, "HTTP/1.1 299 Odd One");
    assert_eq!(answer.head.values("set-cookie"), ["a=b", "c=d"]);
    assert_eq!(answer.field("server"), Some("httpuv"));
    assert_eq!(answer.field("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(answer.text(), "ok");
}
