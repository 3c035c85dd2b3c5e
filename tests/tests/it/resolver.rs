//! Names that variables make of an app's address (`resolver`).

use sheen_tests::both::Both;
use sheen_tests::client::Client;
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::Upstream;
use sheen_tests::websocket;

/// The system's resolver knows it without asking anybody; it is no address to us, nor to nginx.
const KNOWN: &str = "127.1";
/// Has an empty label: nobody is asked either.
const UNKNOWN: &str = "a..b";

#[test]
fn a_name_is_looked_up_while_its_request_waits() {
    let app = Upstream::start(|conn| {
        conn.answer_all(|request| {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let host = request.head.field("host").unwrap_or_default();
            sheen_tests::upstream::ok(&format!("{} {host} {body}", request.head.line)).into()
        });
    });
    let http = "resolver 127.0.0.11 valid=30s ipv6=off; server { listen 127.0.0.1:HTTP_PORT;
        set $app http://KNOWN:APP; proxy_set_header Host known;
        location / { proxy_pass $app; }
        location /below/ { proxy_pass http://$arg_name:APP/to/; } }";
    let http = http.replace("KNOWN", KNOWN).replace("APP", &app.port().to_string());
    let running = Running::start(&http, &[NAME]);
    for _ in 0..2 {
        assert_eq!(running.get(NAME, "/x?y").text(), "GET /x?y HTTP/1.1 known ");
    }
    let target = format!("/below/x?name={KNOWN}");
    assert_eq!(running.get(NAME, &target).text(), "GET /to/ HTTP/1.1 known ");
    let mut client = Client::plain(running.http);
    client.send("POST /z HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(client.answer("POST").text(), "POST /z HTTP/1.1 known body");
}

#[test]
fn a_websocket_opens_behind_a_name() {
    let app = websocket::echo_app();
    let http = "resolver 127.0.0.11; server { listen 127.0.0.1:HTTP_PORT; set $app KNOWN;
        location / { proxy_pass http://$app:APP; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade; } }";
    let http = http.replace("KNOWN", KNOWN).replace("APP", &app.port().to_string());
    let running = Running::start(&http, &[NAME]);
    let mut client = Client::plain(running.http);
    client.send(websocket::request("/ws"));
    assert_eq!(client.answer("GET").status(), 101);
}

#[test]
fn a_name_that_nobody_knows_is_said_and_has_its_error_page() {
    let http = "resolver 127.0.0.11; server { listen 127.0.0.1:HTTP_PORT;
        location / { proxy_pass http://$arg_name; }
        location /page { proxy_pass http://$arg_name; error_page 502 =200 @sorry; }
        location @sorry { return 200 \"sorry $status\"; } }";
    let running = Running::start(http, &[NAME]);
    running.sheen.expect_log("a..b could not be resolved (3: Host not found), client: 127.0.0.1");
    let mut client = Client::plain(running.http);
    let request = format!("POST /?name={UNKNOWN} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    client.send(request + "body");
    assert_eq!(client.answer("POST").status(), 502);
    assert_eq!(client.get(NAME, &format!("/page?name={UNKNOWN}")).text(), "sorry 200");
}

#[test]
fn without_a_resolver_no_name_is_looked_up() {
    let http = "log_format asked '$request_uri $status [$upstream_status] [$proxy_host]';
        access_log ROOT/asked.log asked; server { listen 127.0.0.1:HTTP_PORT;
        location / { proxy_pass http://$arg_name/x; }
        location /url { proxy_pass $arg_name; }
        location /page { proxy_pass http://$arg_name; error_page 502 =200 @sorry; }
        location @sorry { return 200 \"sorry $status\"; } }";
    let Some(both) = Both::start(http, &[NAME]) else { return };
    both.sheen.sheen.expect_log("invalid URL prefix in \"app.test\", client: 127.0.0.1");
    both.sheen.sheen.allow_log("no resolver defined to resolve");
    both.sheen.sheen.expect_log("no resolver defined to resolve app.test, client: 127.0.0.1");
    let seen = both.sides().map(|side| {
        let page = "/page?name=app.test:3838";
        ["/?name=app.test", page, "/?name=127.1", "/url?name=app.test"].map(|target| {
            let answer = side.plain().get(NAME, target);
            let page = if answer.status() == 200 { answer.text() } else { String::new() };
            // Where there is no URL nginx has a host that is empty.
            let line = side.log_line("asked.log", target).replace("[]", "[-]");
            (answer.status(), page, line)
        })
    });
    assert_eq!(seen[1], seen[0]);
    assert_eq!((seen[1][0].0, &*seen[1][1].1), (502, "sorry 200"));
}
