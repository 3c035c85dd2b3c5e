//! Requests that are refused before they are understood, beside the real nginx: they have the error
//! pages and added fields of their server.

use sheen_tests::both::{Both, Side};
use sheen_tests::client::{Answer, Client};
use sheen_tests::sheen::NAME;

const HTTP: &str = r#"
    log_format seen '$status|$request|$scheme|$server_name|$uri|$args';
    access_log ROOT/seen.log seen;
    client_max_body_size 10;
    server {
        listen 127.0.0.1:HTTP_PORT;
        server_name first.test;
        error_page 400 413 /sorry;
        error_page 405 =200 @fine;
        add_header X-Server "first $status" always;
        location / { return 200 first; }
        location /sorry { internal; return 200 "sorry $status $request_method"; }
        location /app { proxy_pass http://127.0.0.1:1; }
        location @fine { return 200 fine; }
    }
    server {
        listen 127.0.0.1:HTTP_PORT;
        server_name second.test;
        add_header X-Server second always;
        location /app { proxy_pass http://127.0.0.1:1; }
    }
    server {
        listen 127.0.0.1:HTTPS ssl;
        server_name app.test;
        ssl_certificate site.crt;
        ssl_certificate_key site.key;
        error_page 497 =301 https://$host:$server_port$request_uri;
        return 204;
    }
"#;

const REFUSED: &[&str] = &[
    "BREW\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: second.test\r\nContent-Length: x\r\n\r\n",
    "POST /app HTTP/1.1\r\nHost: first.test\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello hello",
    "POST /app HTTP/1.1\r\nHost: second.test\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello hello",
    "TRACE /x HTTP/1.1\r\nHost: first.test\r\nConnection: close\r\n\r\n",
];

#[test]
fn a_refused_request_gets_the_page_of_its_server() {
    let Some(both) = Both::start(HTTP, &[NAME]) else { return };
    let mut found = Vec::new();
    for request in REFUSED {
        let [theirs, ours] = both.sides().map(|side| {
            let mut client = side.plain();
            client.send(request);
            said(&client.answer("GET"), side)
        });
        if ours != theirs {
            found.push(format!("{request:?}\nnginx {theirs:?}\nsheen {ours:?}"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Status, fields, and the body where it is not a page of the program's own.
fn said(answer: &Answer, side: Side<'_>) -> (u16, [Option<String>; 2], String) {
    let fields = ["x-server", "location"].map(|name| answer.field(name).map(|f| side.neutral(f)));
    let own = answer.field("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    (answer.status(), fields, if own { String::new() } else { answer.text() })
}

#[test]
fn plain_http_on_a_tls_port_can_be_led_to_https() {
    let Some(both) = Both::start(HTTP, &[NAME]) else { return };
    let [theirs, ours] = both.sides().map(|side| {
        let mut client = Client::plain(side.https);
        client.send("GET /a%20b?c=d HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
        let answer = said(&client.answer("GET"), side);
        (answer, side.log_line("seen.log", "301"))
    });
    assert_eq!(ours, theirs);
    assert_eq!(ours.0.1[1].as_deref(), Some("https://app.test:HTTPS/a%20b?c=d"));
}
