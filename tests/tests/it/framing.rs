//! Request heads that two parsers could read differently are refused before the app hears of them
//! (invariant 8).

use sheen_tests::client::{Client, End};
use sheen_tests::message::Head;
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::Upstream;

/// Sends each request on a connection of its own and asserts: an answer with one of `statuses`, the
/// connection closed cleanly, and not one byte for the app.
fn refused(statuses: &[u16], table: &[(&str, &str)]) {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let mut wrong = Vec::new();
    for (case, request) in table {
        let mut client = sheen.client();
        client.send(request);
        let (bytes, end) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        let good = text.starts_with("HTTP/1.") && {
            let head = Head::parse(&bytes);
            statuses.contains(&head.status())
                && head.field("connection") == Some("close")
                && text.matches("HTTP/1.1 ").count() == 1
        };
        if !good || end != End::Clean {
            wrong.push(format!("{case}: {request:?} -> {end:?} after {text:?}"));
        }
        if app.connections() != 0 {
            panic!("{case}: {request:?} reached the app: {:?}", app.received());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), table.len(), wrong.join("\n"));
    still_serves(&sheen, &app);
}

fn still_serves(sheen: &Sheen, app: &Upstream) {
    assert_eq!(sheen.client().get(NAME, "/sentinel").status(), 200);
    assert_eq!(app.received().matches(" HTTP/1.1\r\n").count(), 1, "{}", app.received());
}

/// A POST with `fields` and five bytes that may or may not be its body, then a hidden request.
macro_rules! post {
    ($fields:literal) => {
        concat!(
            "POST / HTTP/1.1\r\nHost: app.test\r\n",
            $fields,
            "\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n"
        )
    };
}

/// A GET with `fields`.
macro_rules! get {
    ($fields:literal) => {
        concat!("GET / HTTP/1.1\r\n", $fields, "\r\n")
    };
}

#[test]
fn content_length_that_is_no_number_is_refused() {
    refused(
        &[400],
        &[
            ("plus", post!("Content-Length: +5\r\n")),
            ("minus", post!("Content-Length: -1\r\n")),
            ("minus nought", post!("Content-Length: -0\r\n")),
            ("hexadecimal", post!("Content-Length: 0x5\r\n")),
            ("hexadecimal digit", post!("Content-Length: a\r\n")),
            ("exponent", post!("Content-Length: 5e0\r\n")),
            ("fraction", post!("Content-Length: 5.0\r\n")),
            ("empty", post!("Content-Length: \r\n")),
            ("empty, no space", post!("Content-Length:\r\n")),
            ("two numbers", post!("Content-Length: 5 5\r\n")),
            ("list of the same", post!("Content-Length: 5, 5\r\n")),
            ("list of two", post!("Content-Length: 5, 6\r\n")),
            ("trailing comma", post!("Content-Length: 5,\r\n")),
            ("semicolon", post!("Content-Length: 5;\r\n")),
            ("quoted", post!("Content-Length: \"5\"\r\n")),
            ("vertical tab", post!("Content-Length: \x0b5\r\n")),
            ("one above u64", post!("Content-Length: 18446744073709551616\r\n")),
            ("u64 wrapped to 5", post!("Content-Length: 18446744073709551621\r\n")),
            ("forty digits", post!("Content-Length: 9999999999999999999999999999999999999999\r\n")),
            ("underscore", post!("Content-Length: 1_0\r\n")),
            ("Arabic digit", post!("Content-Length: \u{665}\r\n")),
            ("on a GET", get!("Host: app.test\r\nContent-Length: x\r\n")),
        ],
    );
}

#[test]
fn several_content_lengths_are_refused() {
    refused(
        &[400],
        &[
            ("differing", post!("Content-Length: 5\r\nContent-Length: 6\r\n")),
            ("differing, other case", post!("Content-Length: 5\r\ncontent-length: 0\r\n")),
            ("differing zeros", post!("Content-Length: 5\r\nContent-Length: 05\r\n")),
            ("second empty", post!("Content-Length: 5\r\nContent-Length: \r\n")),
            ("first empty", post!("Content-Length:\r\nContent-Length: 5\r\n")),
            ("far apart", post!("Content-Length: 5\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n")),
        ],
    );
}

#[test]
fn content_length_beside_transfer_encoding_is_refused() {
    refused(
        &[400],
        &[
            ("length first", post!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
            ("length last", post!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")),
            ("length nought", post!("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n")),
            ("other case", post!("TRANSFER-ENCODING: CHUNKED\r\nCONTENT-LENGTH: 5\r\n")),
            (
                "on a GET",
                get!("Host: app.test\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            ),
        ],
    );
}

#[test]
fn transfer_encoding_other_than_one_final_chunked_is_refused() {
    refused(
        &[400, 501],
        &[
            ("gzip", post!("Transfer-Encoding: gzip\r\n")),
            ("identity", post!("Transfer-Encoding: identity\r\n")),
            ("chunked, gzip", post!("Transfer-Encoding: chunked, gzip\r\n")),
            ("gzip, chunked", post!("Transfer-Encoding: gzip, chunked\r\n")),
            ("chunked, identity", post!("Transfer-Encoding: chunked, identity\r\n")),
            ("twice in one", post!("Transfer-Encoding: chunked, chunked\r\n")),
            ("twice", post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
            (
                "then identity",
                post!("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            ),
            (
                "identity then",
                post!("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
            ),
            ("xchunked", post!("Transfer-Encoding: xchunked\r\n")),
            ("chunkedx", post!("Transfer-Encoding: chunkedx\r\n")),
            ("quoted", post!("Transfer-Encoding: \"chunked\"\r\n")),
            ("parameter", post!("Transfer-Encoding: chunked;q=1\r\n")),
            ("vertical tab", post!("Transfer-Encoding: \x0bchunked\r\n")),
            ("empty", post!("Transfer-Encoding: \r\n")),
            ("inner space", post!("Transfer-Encoding: chun ked\r\n")),
            ("space before the colon", post!("Transfer-Encoding : chunked\r\n")),
            ("tab before the colon", post!("Transfer-Encoding\t: chunked\r\n")),
            ("folded", post!("Transfer-Encoding:\r\n chunked\r\n")),
            ("bare CR after", post!("Transfer-Encoding: chunked\rX: y\r\n")),
            (
                "HTTP/1.0",
                "POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn lines_that_do_not_end_in_crlf_are_refused() {
    refused(
        &[400],
        &[
            ("all bare LF", "GET / HTTP/1.1\nHost: app.test\n\n"),
            ("request line", "GET / HTTP/1.1\nHost: app.test\r\n\r\n"),
            ("field", "GET / HTTP/1.1\r\nHost: app.test\nX: y\r\n\r\n"),
            ("last line", "GET / HTTP/1.1\r\nHost: app.test\r\n\n"),
            ("hides a field", get!("Host: app.test\r\nX: y\nTransfer-Encoding: chunked\r\n")),
            ("bare CR", "GET / HTTP/1.1\rHost: app.test\r\n\r\n"),
            ("bare CR in a value", get!("Host: app.test\r\nX: a\rb\r\n")),
            ("CR CR LF", get!("Host: app.test\r\nX: a\r\r\n")),
            ("NUL in a value", get!("Host: app.test\r\nX: a\0b\r\n")),
            ("NUL in a name", get!("Host: app.test\r\nX\0: a\r\n")),
            ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("control in a value", get!("Host: app.test\r\nX: a\x01b\r\n")),
            ("DEL in a value", get!("Host: app.test\r\nX: a\x7fb\r\n")),
        ],
    );
}

#[test]
fn malformed_fields_are_refused() {
    refused(
        &[400],
        &[
            ("folded with a space", get!("Host: app.test\r\nX: a\r\n b\r\n")),
            ("folded with a tab", get!("Host: app.test\r\nX: a\r\n\tb\r\n")),
            ("folded into nothing", get!("Host: app.test\r\nX: a\r\n \r\n")),
            ("space before the colon", get!("Host: app.test\r\nX : a\r\n")),
            ("space before Host's colon", get!("Host : app.test\r\n")),
            ("leading space in the first", get!(" Host: app.test\r\n")),
            ("leading tab in the first", get!("\tHost: app.test\r\n")),
            ("blank first line", get!(" \r\nHost: app.test\r\n")),
            ("empty name", get!("Host: app.test\r\n: a\r\n")),
            ("space in the name", get!("Host: app.test\r\nX Y: a\r\n")),
            ("parentheses in the name", get!("Host: app.test\r\nX(Y): a\r\n")),
            ("no ASCII in the name", get!("Host: app.test\r\nX\u{e9}: a\r\n")),
            ("no colon", get!("Host: app.test\r\nX\r\n")),
        ],
    );
}

#[test]
fn a_host_that_is_none_is_refused() {
    refused(
        &[400],
        &[
            ("missing", "GET / HTTP/1.1\r\n\r\n"),
            ("missing, absolute target", "GET http://app.test/ HTTP/1.1\r\n\r\n"),
            ("twice", get!("Host: app.test\r\nHost: app.test\r\n")),
            ("twice, differing", get!("Host: app.test\r\nHost: b.test\r\n")),
            ("twice, other case", get!("Host: app.test\r\nHOST: b.test\r\n")),
            ("empty", get!("Host: \r\n")),
            ("space inside", get!("Host: app.test b.test\r\n")),
            ("list", get!("Host: app.test, b.test\r\n")),
            ("user", get!("Host: user@app.test\r\n")),
            ("path", get!("Host: app.test/path\r\n")),
            ("backslash", get!("Host: app.test\\b\r\n")),
            ("query", get!("Host: app.test?x\r\n")),
            ("fragment", get!("Host: app.test#x\r\n")),
            ("scheme", get!("Host: https://app.test\r\n")),
            ("port of letters", get!("Host: app.test:abc\r\n")),
            ("port too large", get!("Host: app.test:65536\r\n")),
            ("two ports", get!("Host: app.test:1:2\r\n")),
            ("open bracket", get!("Host: [::1\r\n")),
            ("angle brackets", get!("Host: <script>\r\n")),
            ("quote", get!("Host: app.test\"\r\n")),
        ],
    );
}

#[test]
fn malformed_request_lines_are_refused() {
    refused(
        &[400],
        &[
            ("HTTP/0.9", "GET /\r\n\r\n"),
            ("no target", "GET HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("two spaces", "GET  / HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("space in the target", "GET /a b HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("tabs", "GET\t/\tHTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("leading space", " GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("target without slash", "GET index HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("control in the target", "GET /\x01 HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("method no token", "G@T / HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("no method", "/ HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            (
                "user in an absolute target",
                "GET http://u@app.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n",
            ),
            ("empty authority", "GET http:/// HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("garbage", "\x01\x02\x03\x04\r\n\r\n"),
        ],
    );
}

#[test]
fn other_versions_and_methods_for_proxies_are_refused() {
    refused(
        &[400, 405, 501, 505],
        &[
            ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: app.test\r\n\r\n"),
            ("HTTP/3.0", "GET / HTTP/3.0\r\nHost: app.test\r\n\r\n"),
            ("HTTP/1", "GET / HTTP/1\r\nHost: app.test\r\n\r\n"),
            ("HTTP/11", "GET / HTTP/11\r\nHost: app.test\r\n\r\n"),
            ("HTTP/1.10", "GET / HTTP/1.10\r\nHost: app.test\r\n\r\n"),
            ("lower case", "GET / http/1.1\r\nHost: app.test\r\n\r\n"),
            ("another protocol", "GET / RTSP/1.1\r\nHost: app.test\r\n\r\n"),
            ("CONNECT", "CONNECT app.test:443 HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            ("TRACE", "TRACE / HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        ],
    );
}

#[test]
fn unusual_requests_that_are_right_pass() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let accepted = [
        ("GET / HTTP/1.1\r\nHost: app.test", "empty line before the request", "\r\n"),
        ("GET / HTTP/1.1\r\nhOsT:app.test", "no space after the colon", ""),
        ("GET / HTTP/1.1\r\nHost: \t app.test \t", "space around the value", ""),
        ("GET / HTTP/1.1\r\nHost: app.test\r\nX:", "empty value", ""),
        ("GET / HTTP/1.1\r\nHost: app.test\r\nX: a\tb", "tab inside a value", ""),
        ("GET / HTTP/1.1\r\nHost: app.test\r\n!#$%&'*+-.^_`|~09: x", "every token character", ""),
        ("GET / HTTP/1.1\r\nHost: APP.test", "Host in upper case", ""),
        ("GET / HTTP/1.1\r\nHost: app.test:8443", "Host with a port", ""),
        ("PROPFIND / HTTP/1.1\r\nHost: app.test", "unknown method", ""),
        ("OPTIONS / HTTP/1.1\r\nHost: app.test", "OPTIONS", ""),
        ("GET /a%2fb/../c;d=e?f=/../&g=?# HTTP/1.1\r\nHost: app.test", "target", ""),
        ("GET / HTTP/1.0", "1.0 without Host", ""),
        ("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0", "POST without a body", ""),
    ];
    for (head, case, before) in accepted {
        let mut client = sheen.client();
        client.send(format!("{before}{head}\r\n\r\n"));
        let answer = client.answer("GET");
        let refused_target = case == "target" && answer.status() == 400;
        assert!(answer.status() == 200 || refused_target, "{case}: {}", answer.head.raw);
    }
}

#[test]
fn obsolete_text_in_a_value_passes_unchanged() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\nX-Name: M\xc3\xbcller\r\n\r\n");
    assert_eq!(client.answer("GET").mirrored().field("x-name"), Some("M\u{fc}ller"));
}

#[test]
fn the_authority_of_an_absolute_target_wins_over_host() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    for scheme in ["http", "https", "HTTPS"] {
        let mut client = sheen.client();
        client.send(format!("GET {scheme}://app.test/x?y=1 HTTP/1.1\r\nHost: other.test\r\n\r\n"));
        let seen = client.answer("GET").mirrored();
        assert_eq!(seen.line, "GET /x?y=1 HTTP/1.1");
        assert_eq!(seen.field("host"), Some(NAME));
    }
}

#[test]
fn options_for_the_whole_server_is_answered() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("OPTIONS * HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let status = client.answer("OPTIONS").status();
    assert!([200, 204, 400, 404].contains(&status), "{status}");
}

#[test]
fn what_follows_a_refused_request_is_never_served() {
    let app = Upstream::mirror();
    let sheen = Setup::to(&app).start();
    let mut client: Client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n X: y\r\n\r\n");
    // May find the connection closed already; what counts is that the app hears nothing.
    let _ = client.try_send("GET /hidden HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let (bytes, _) = client.rest();
    assert!(bytes.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&bytes));
    still_serves(&sheen, &app);
}
