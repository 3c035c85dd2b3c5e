//! Variables where a request does not go straight on, beside the real nginx: on to another app or a
//! page, away without an answer, or refused before it is understood.

use sheen_tests::both::{Both, Side};
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::{Upstream, ok};

/// Times are left out, and how large pages of our own are.
const HTTP: &str = r#"
    log_format led '$request|$status|$proxy_host|$proxy_port|$upstream_addr|$upstream_status|'
                   '$upstream_response_length|$upstream_http_x_app|$request_completion|'
                   '$connection_requests|$content_length|$request_body|$args|$request_uri|'
                   '$http_x_a|$http_x_b|$found';
    log_format counted '$request|$request_length|$uri';
    access_log ROOT/led.log led;
    access_log ROOT/counted.log counted;
    server {
        listen 127.0.0.1:HTTP_PORT;
        location / { proxy_pass http://APP; }
        location /answered { proxy_pass http://APP; proxy_set_header X-Was "[$upstream_http_x_app]"; }
        location /page { return 200 "page $request_length $proxy_host $upstream_addr"; }
        location /silent { return 444; }
        location /dead { proxy_pass http://127.0.0.1:1; }
        location /on { proxy_pass http://127.0.0.1:1; error_page 502 = /answered; }
        location /named { proxy_pass http://127.0.0.1:1; error_page 502 @named; }
        location @named { proxy_pass http://APP; }
        location /shown { proxy_pass http://127.0.0.1:1; error_page 502 /page; }
        location /missing {
            proxy_pass http://APP; proxy_intercept_errors on; error_page 404 /answered?b=c;
        }
        location ~ ^/found/(?<found>.*)$ { return 200 "found"; }
        location /socket { proxy_pass http://unix:/nowhere/app; }
        location /left { proxy_pass http://APP; }
    }
"#;

/// Request lines, what follows them, and whether the client then stops speaking. No two are the
/// same: lines of the log are found by them.
const REQUESTS: &[(&str, &str, bool)] = &[
    ("GET /straight?a=1 HTTP/1.1", "Host: a\r\n\r\n", false),
    ("GET /silent HTTP/1.1", "Host: a\r\n\r\n", false),
    ("GET /dead HTTP/1.1", "Host: a\r\n\r\n", false),
    ("GET /dead HTTP/1.0", "\r\n", false),
    ("POST /dead HTTP/1.1", "Host: a\r\nContent-Length: 3\r\n\r\nabc", false),
    ("GET /on?a=1 HTTP/1.1", "Host: a\r\n\r\n", false),
    ("POST /on HTTP/1.1", "Host: a\r\nContent-Length: 3\r\n\r\nabc", false),
    ("GET /named HTTP/1.1", "Host: a\r\n\r\n", false),
    ("GET /shown HTTP/1.1", "Host: a\r\n\r\n", false),
    ("POST /shown HTTP/1.1", "Host: a\r\nContent-Length: 3\r\n\r\nabc", false),
    ("GET /missing HTTP/1.1", "Host: a\r\n\r\n", false),
    ("POST /missing HTTP/1.1", "Host: a\r\nContent-Length: 3\r\n\r\nabc", false),
    ("GET /found/x HTTP/1.1", "Host: a\r\n\r\n", false),
    ("GET /found/ HTTP/1.1", "Host: a\r\n\r\n", false),
    ("GET /socket HTTP/1.1", "Host: a\r\n\r\n", false),
    ("GET /left HTTP/1.1", "Host: a\r\n\r\n", false),
    ("POST /left HTTP/1.1", "Host: a\r\nContent-Length: 3\r\n\r\nabc", false),
    (
        "POST /chunks HTTP/1.1",
        "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
        false,
    ),
    ("GET /odd HTTP/1.1", "Host: a\r\nX-A: 1\r\nX\x01: 2\r\nX-B: 3\r\n\r\n", false),
    ("GET /%zz?a=1 HTTP/1.1", "\r\n", false),
    ("GET /../up HTTP/1.1", "\r\n", false),
    ("GET /half HTTP/1.1", "Host: a\r\nX-A: 1\r\n", true),
];

/// An app that has no page of that name, leaves one to another, and says what it was asked for.
fn app() -> Upstream {
    Upstream::start(|conn| {
        conn.answer_all(|request| {
            let line = &request.head.line;
            let head = match line.split(' ').nth(1).unwrap() {
                "/missing" => "HTTP/1.1 404 Not Found\r\nX-App: first",
                "/left" => "HTTP/1.1 200 OK\r\nX-App: first\r\nX-Accel-Redirect: /answered?d=e",
                _ => {
                    let was = request.head.field("x-was").unwrap_or_default();
                    let is_empty = request.head.field("content-length") == Some("0");
                    return ok(&format!("{was} {is_empty}")).into_bytes();
                }
            };
            format!("{head}\r\nContent-Length: 0\r\n\r\n").into()
        });
    })
}

/// Sends one of them on a connection of its own, and reads until that ends; the text of an answer
/// that is an app's or a page's.
fn ask(side: Side<'_>, (line, rest, stops): (&str, &str, bool)) -> String {
    let mut client = side.plain();
    let rest = rest.replacen("Host: a\r\n", "Host: a\r\nConnection: close\r\n", 1);
    client.send(format!("{line}\r\n{rest}"));
    if stops {
        client.shutdown_write();
    }
    let answer = String::from_utf8_lossy(&client.rest().0).into_owned();
    let text = answer.split_once("\r\n\r\n").map_or("", |(_, text)| text);
    side.neutral(if text.contains('<') { "" } else { text })
}

#[test]
fn what_was_asked_first_is_told_from_what_was_asked_then() {
    let app = app();
    let Some(both) = Both::start(&HTTP.replace("APP", app.address()), &[NAME]) else { return };
    both.sheen.sheen.allow_log("client: 127.0.0.1");
    both.sheen.sheen.expect_log("upstream: \"http://127.0.0.1:1/on?a=1\"");
    let seen = both.sides().map(|side| {
        let texts: Vec<_> = REQUESTS.iter().map(|request| ask(side, *request)).collect();
        let logged = REQUESTS.iter().map(|(line, ..)| {
            let line = format!("{line}|");
            let led = side.log_line("led.log", &line);
            // Of a head that was refused, nginx counts what came before the reason.
            let is_refused = led.contains("|400|");
            let counted = if is_refused { "" } else { &*side.log_line("counted.log", &line) };
            side.neutral(&[&led, counted].join(" "))
        });
        let logged: Vec<_> = logged.collect();
        texts.into_iter().zip(logged).collect::<Vec<_>>()
    });
    for ((theirs, ours), (line, ..)) in seen[0].iter().zip(&seen[1]).zip(REQUESTS) {
        assert_eq!(ours, theirs, "{line}");
    }
    let on = &seen[1][5].1;
    assert!(on.contains(&format!("|127.0.0.1:1 : {}|502 : 200|", app.address())), "{on}");
}

#[test]
fn a_client_that_goes_in_the_middle_of_its_body_made_a_bad_request() {
    let app = app();
    let http = "log_format status '$request $status'; access_log ROOT/status.log status;
        server { listen 127.0.0.1:HTTP_PORT; location / { proxy_pass http://APP; } }";
    let Some(both) = Both::start(&http.replace("APP", app.address()), &[NAME]) else { return };
    both.sheen.sheen.allow_log("client prematurely closed connection");
    for side in both.sides() {
        let mut client = side.plain();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
        client.shutdown_write();
        client.rest();
        assert_eq!(side.log_line("status.log", "POST"), "POST / HTTP/1.1 400", "{}", side.name);
    }
}
