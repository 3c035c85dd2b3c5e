//! What the plain-HTTP listener answers: a redirect to the same place on https, or the file an ACME
//! server asks for.

use std::fs;

use sheen_tests::client::{Answer, End};
use sheen_tests::sheen::{NAME, Setup, Sheen, Site};
use sheen_tests::upstream::Upstream;

/// A sheen whose app must never be asked.
fn redirecting(site: &str) -> (Upstream, Sheen) {
    let app = Upstream::ok("never asked");
    let sheen = Setup::to(&app).site(site).start();
    (app, sheen)
}

fn ask(sheen: &Sheen, request: &str) -> Answer {
    let mut client = sheen.plain();
    client.send(request);
    client.answer(request.split(' ').next().unwrap())
}

fn location(sheen: &Sheen, host: &str, target: &str) -> String {
    let answer = ask(sheen, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert_eq!(answer.status(), 301, "{}", answer.head.raw);
    answer.field("location").unwrap().to_owned()
}

#[test]
fn host_path_and_query_are_kept_and_the_port_named() {
    let (app, sheen) = redirecting("");
    let port = sheen.https().port();
    for target in ["/", "/a/b", "/?q=1&r=%20", "/%2F%0d%0a?x=/../y", "/a;b=c/../d", "//evil.test/x"]
    {
        let expected = format!("https://app.test:{port}{target}");
        assert_eq!(location(&sheen, NAME, target), expected);
    }
    assert_eq!(location(&sheen, "app.test:80", "/"), format!("https://app.test:{port}/"));
    assert_eq!(location(&sheen, "app.test:8080", "/"), format!("https://app.test:{port}/"));
    assert_eq!(
        location(&sheen, "APP.test", "/").to_lowercase(),
        format!("https://app.test:{port}/")
    );
    assert_eq!(app.connections(), 0);
}

#[test]
fn the_standard_port_is_not_named() {
    if std::net::TcpListener::bind("127.43.0.1:443").is_err() {
        eprintln!("skipped: port 443 takes root");
        return;
    }
    let app = Upstream::ok("never asked");
    let sheen = Setup::to(&app).top("listen_https = [\"127.43.0.1:443\"]").start();
    assert_eq!(location(&sheen, NAME, "/x?y"), "https://app.test/x?y");
    assert_eq!(location(&sheen, "app.test:80", "/"), "https://app.test/");
}

#[test]
fn a_308_keeps_method_and_body() {
    let (_app, sheen) = redirecting("http = \"redirect-308\"");
    let answer = ask(&sheen, "POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(answer.status(), 308);
    assert!(answer.field("location").unwrap().ends_with("/x"));
}

#[test]
fn every_method_is_redirected() {
    let (app, sheen) = redirecting("");
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = ask(&sheen, &format!("{method} / HTTP/1.1\r\nHost: app.test\r\n\r\n"));
        assert_eq!(answer.status(), 301, "{method}");
        assert!(method != "HEAD" || answer.body.is_empty());
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn a_body_is_not_taken_for_the_next_request() {
    let (_app, sheen) = redirecting("");
    for framing in ["Content-Length: 37\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n25\r\n"] {
        let hidden = "GET /hidden HTTP/1.1\r\nHost: a.com\r\n\r\n";
        assert_eq!(hidden.len(), 37);
        let mut client = sheen.plain();
        let tail = if framing.contains("chunked") { "\r\n0\r\n\r\n" } else { "" };
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: app.test\r\n{framing}{}{tail}\
             GET /last HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
            hidden
        ));
        let (bytes, _) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 301 "), "{text}");
        assert!(!text.contains("hidden"), "{text}");
    }
}

#[test]
fn the_connection_is_kept_and_pipelining_works() {
    let (_app, sheen) = redirecting("");
    let mut client = sheen.plain();
    let requests: String =
        (0..50).map(|turn| format!("GET /{turn} HTTP/1.1\r\nHost: app.test\r\n\r\n")).collect();
    client.send(&requests);
    for turn in 0..50 {
        let answer = client.answer("GET");
        assert!(answer.field("location").unwrap().ends_with(&format!("/{turn}")));
    }
    client.send_pieces(
        b"GET /slow HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n".chunks(1),
    );
    let answer = client.answer("GET");
    assert!(answer.field("location").unwrap().ends_with("/slow"));
    assert_eq!(answer.field("connection"), Some("close"));
    client.closes();
}

#[test]
fn http_1_0_without_host_is_sent_to_the_first_name() {
    let (_app, sheen) = redirecting("");
    let port = sheen.https().port();
    let mut client = sheen.plain();
    client.send("GET /old HTTP/1.0\r\n\r\n");
    let answer = client.answer("GET");
    assert_eq!(answer.field("location"), Some(format!("https://app.test:{port}/old").as_str()));
    client.closes();
}

#[test]
fn a_wrong_host_is_refused_and_never_quoted() {
    let (_app, sheen) = redirecting("");
    for host in ["", "a b", "user@app.test", "app.test/x", "<b>", "app.test:x", "a,b", "app.test\0"]
    {
        let mut client = sheen.plain();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let (bytes, end) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 400 "), "{host:?}: {text}");
        assert!(!text.contains("<b>") && end == End::Clean, "{host:?}: {text}");
    }
    for head in ["GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n"] {
        assert_eq!(ask(&sheen, &format!("{head}\r\n")).status(), 400);
    }
}

#[test]
fn no_line_can_be_injected() {
    let (_app, sheen) = redirecting("");
    for target in ["/\rX: y", "/\nX: y", "/\tX: y", "/\0", "/\x0b"] {
        let mut client = sheen.plain();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: app.test\r\n\r\n"));
        let (bytes, _) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 400 "), "{target:?}: {text}");
        assert!(!text.contains("X: y"), "{target:?}: {text}");
    }
}

#[test]
fn an_absolute_target_redirects_to_its_own_authority() {
    let (_app, sheen) = redirecting("");
    let port = sheen.https().port();
    let found = location(&sheen, "other.test", "http://app.test:80/x?y");
    assert_eq!(found, format!("https://app.test:{port}/x?y"));
}

#[test]
fn the_long_limits_hold_on_plain_http_too() {
    let (_app, sheen) = redirecting("");
    let long = "x".repeat(20 << 10);
    assert_eq!(
        ask(&sheen, &format!("GET /{long} HTTP/1.1\r\nHost: app.test\r\n\r\n")).status(),
        414
    );
    let fields = format!("X: {long}\r\n").repeat(3);
    assert_eq!(
        ask(&sheen, &format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n")).status(),
        431
    );
}

#[test]
fn http_proxy_passes_requests_without_tls() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).site("http = \"proxy\"").start();
    let mut client = sheen.plain();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.answer("POST").text(), "abc");
    assert_eq!(client.get(NAME, "/").status(), 200);
}

#[test]
fn what_plain_http_does_is_each_sites_own() {
    let app = Upstream::ok("proxied");
    let mut setup = Setup::to(&app);
    let mut other = Site::new(&["other.test"], app.address());
    other.lines = "http = \"proxy\"".to_owned();
    setup.sites.push(other);
    let sheen = setup.start();
    assert_eq!(sheen.plain().get(NAME, "/").status(), 301);
    assert_eq!(sheen.plain().get("other.test", "/").text(), "proxied");
}

/// A sheen with a webroot that holds one token; beside the challenges a file that must stay secret.
fn with_webroot() -> (tempfile::TempDir, Upstream, Sheen) {
    let webroot = tempfile::TempDir::new().unwrap();
    let challenges = webroot.path().join(".well-known/acme-challenge");
    fs::create_dir_all(&challenges).unwrap();
    fs::write(challenges.join("token-1_A"), "token-1_A.thumbprint").unwrap();
    fs::write(webroot.path().join("secret"), "secret").unwrap();
    fs::write(webroot.path().join(".well-known/secret"), "secret").unwrap();
    std::os::unix::fs::symlink(webroot.path().join("secret"), challenges.join("link")).unwrap();
    fs::create_dir(challenges.join("folder")).unwrap();
    let (app, sheen) = redirecting(&format!("acme_webroot = {:?}", webroot.path()));
    (webroot, app, sheen)
}

#[test]
fn a_challenge_is_served_from_the_webroot() {
    let (_webroot, app, sheen) = with_webroot();
    let mut client = sheen.plain();
    for _ in 0..2 {
        let answer = client.get(NAME, "/.well-known/acme-challenge/token-1_A");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "token-1_A.thumbprint"));
    }
    client.send("HEAD /.well-known/acme-challenge/token-1_A HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let answer = client.answer("HEAD");
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    assert_eq!(client.get(NAME, "/other").status(), 301);
    assert_eq!(app.connections(), 0);
}

#[test]
fn a_missing_challenge_is_a_404() {
    let (_webroot, _app, sheen) = with_webroot();
    for target in ["missing", "", "folder", "folder/", "token-1_A/"] {
        let target = format!("/.well-known/acme-challenge/{target}");
        assert_eq!(sheen.plain().get(NAME, &target).status(), 404, "{target}");
    }
}

#[test]
fn nothing_outside_the_challenges_is_served() {
    let (_webroot, _app, sheen) = with_webroot();
    for target in [
        "/.well-known/acme-challenge/../secret",
        "/.well-known/acme-challenge/../../secret",
        "/.well-known/acme-challenge/%2e%2e/secret",
        "/.well-known/acme-challenge/..%2fsecret",
        "/.well-known/acme-challenge/%2e%2e%2f%2e%2e%2fsecret",
        "/.well-known/acme-challenge//etc/passwd",
        "/.well-known/acme-challenge/..",
        "/.well-known/acme-challenge/./../secret",
        "/.well-known/acme-challenge/token-1_A%00",
        "/.well-known/acme-challenge/..\\secret",
        "/.well-known/secret",
        "/secret",
    ] {
        let answer = sheen.plain().get(NAME, target);
        assert!([301, 400, 404].contains(&answer.status()), "{target}: {}", answer.head.raw);
        assert!(!answer.text().contains("secret\n") && answer.text() != "secret", "{target}");
    }
}

#[test]
fn without_a_webroot_a_challenge_is_redirected_like_the_rest() {
    let (_app, sheen) = redirecting("");
    let target = "/.well-known/acme-challenge/token";
    assert!(location(&sheen, NAME, target).ends_with(target));
}
