//! What nginx.conf says of connections, by server and by location.

use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sheen_tests::both::Both;
use sheen_tests::client::{Client, End};
use sheen_tests::nginx_conf::Running;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::{Upstream, ok};
use sheen_tests::{wait, websocket};
use tungstenite::protocol::Role;

fn request(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {NAME}\r\n\r\n")
}

#[test]
fn connections_are_kept_as_long_as_nginx_keeps_them() {
    let app = Upstream::ok("x");
    let http = "server { listen 127.0.0.1:HTTP_PORT; server_name app.test; keepalive_requests 3;
        location / { proxy_pass http://APP; }
        location /once { keepalive_timeout 0; proxy_pass http://APP; }
        location /own { return 200 x; }
        location /one { keepalive_requests 1; return 200 x; }
        location /said { keepalive_timeout 75s 20s; return 200 x; }
        location /proxied { keepalive_timeout 75s 20s; proxy_pass http://APP; } }"
        .replace("APP", app.address());
    let Some(both) = Both::start(&http, &[NAME]) else { return };
    for targets in [
        &["/", "/", "/"][..],
        &["/own", "/", "/own"],
        &["/once"],
        &["/one"],
        &["/own", "/one"],
        &["/said", "/proxied"],
    ] {
        for (number, target) in targets.iter().enumerate() {
            let [theirs, ours] = both.sides().map(|side| {
                let mut client = side.plain();
                for before in &targets[..number] {
                    assert_eq!(client.get(NAME, before).status(), 200);
                }
                let answer = client.get(NAME, target);
                let closes = answer.field("connection") == Some("close");
                if closes {
                    client.closes();
                }
                (closes, answer.field("keep-alive").map(str::to_owned))
            });
            assert_eq!(ours, theirs, "{targets:?} {target}");
        }
    }
}

/// How long until the other side ends it.
fn life(mut client: Client) -> Duration {
    let begun = Instant::now();
    client.rest();
    begun.elapsed()
}

#[test]
fn silent_clients_have_the_time_of_their_server() {
    let http = "client_header_timeout 60s;
        server { listen 127.0.0.1:HTTP_PORT; client_header_timeout 400ms; keepalive_timeout 30s;
            location / { return 200 x; }
            location /short { keepalive_timeout 300ms; return 200 x; } }
        server { listen 127.0.0.1:HTTPS; return 200 y; }";
    let running = Running::start(http, &[NAME]);
    running.sheen.allow_log("client timed out while reading client request headers");
    let quick = Duration::from_secs(5);
    assert!(life(Client::plain(running.http)) < quick, "nothing comes");
    let mut client = Client::plain(running.http);
    client.send("GET / HT");
    assert_eq!(client.answer("GET").status(), 408);
    let mut client = Client::plain(running.http);
    client.get(NAME, "/short");
    assert!(life(client) < quick, "the location's keepalive_timeout");
    // Time for the short ones to have ended these, had they been meant.
    let mut kept = Client::plain(running.http);
    kept.get(NAME, "/");
    let mut other = Client::plain(running.https);
    assert!(kept.is_quiet_for(Duration::from_millis(900)));
    assert!(other.is_quiet_for(Duration::from_millis(1)));
    other.get(NAME, "/");
}

#[test]
fn heads_are_as_large_as_their_server_allows() {
    let http =
        "server { listen 127.0.0.1:HTTP_PORT; large_client_header_buffers 2 2k; return 200 x; }
        server { listen 127.0.0.1:HTTPS; return 200 y; }";
    let running = Running::start(http, &[NAME]);
    running.sheen.allow_log("client sent too long URI");
    running.sheen.allow_log("client sent too large request headers");
    let ask = |address, target: usize, fields: usize| {
        let mut client = Client::plain(address);
        let (target, value) = ("a".repeat(target), "b".repeat(1000));
        let fields: String = (0..fields).map(|at| format!("X-{at}: {value}\r\n")).collect();
        client.send(format!("GET /{target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.answer("GET").status()
    };
    assert_eq!([ask(running.http, 1500, 0), ask(running.https, 1500, 0)], [200, 200]);
    assert_eq!([ask(running.http, 3000, 0), ask(running.https, 3000, 0)], [414, 200]);
    assert_eq!([ask(running.http, 1, 3), ask(running.https, 1, 3)], [200, 200]);
    assert_eq!([ask(running.http, 1, 5), ask(running.https, 1, 5)], [431, 200]);
}

#[test]
fn a_silent_tunnel_has_the_read_timeout_of_its_location() {
    let app = websocket::echo_app();
    let http = "proxy_read_timeout 1h; proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        server { listen 127.0.0.1:HTTP_PORT;
            location / { proxy_pass http://APP; }
            location /short/ { proxy_read_timeout 400ms; proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    running.sheen.allow_log("timed out while proxying upgraded connection");
    let open = |target: &str| {
        let mut client = Client::plain(running.http);
        client.send(websocket::request(target));
        assert_eq!(client.answer("GET").status(), 101);
        client
    };
    let mut long = websocket::frames(open("/"), Role::Client);
    assert!(life(open("/short/")) < Duration::from_secs(5));
    websocket::echoes(&mut long, "still here");
}

#[test]
fn a_client_that_is_late_is_reset_where_that_is_asked_for() {
    let http = "server { listen 127.0.0.1:HTTP_PORT; client_header_timeout 300ms;
            reset_timedout_connection on; location / { return 444; } }
        server { listen 127.0.0.1:HTTPS; client_header_timeout 300ms; return 444; }";
    let running = Running::start(http, &[NAME]);
    running.sheen.allow_log("client timed out while reading client request headers");
    let end = |address, sent: &str| {
        let mut client = Client::plain(address);
        client.send(sent);
        client.rest().1
    };
    assert_eq!(end(running.http, "GET / HT"), End::Reset);
    assert_eq!(end(running.http, &request("/")), End::Reset);
    assert_eq!(end(running.https, "GET / HT"), End::Clean);
    assert_eq!(end(running.https, &request("/")), End::Clean);
}

#[test]
fn an_answer_is_awaited_without_its_client_where_that_is_asked_for() {
    let app = Upstream::start(|conn| {
        conn.head();
        assert!(conn.rest().is_empty());
    });
    let http = "server { listen 127.0.0.1:HTTP_PORT; proxy_read_timeout 1s;
        location / { proxy_pass http://APP; }
        location /stays { proxy_ignore_client_abort on; proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    running.sheen.allow_log("client prematurely closed connection");
    running
        .sheen
        .expect_log("upstream timed out (110: Connection timed out) while reading response header");
    for target in ["/", "/stays"] {
        let mut stream = TcpStream::connect(running.http).unwrap();
        std::io::Write::write_all(&mut stream, request(target).as_bytes()).unwrap();
        wait::until("the app has the request", || app.received().contains("GET "));
        drop(stream);
        wait::until("the end", || app.open() == 0);
    }
    // The first was given up, the second was awaited until its time was up.
    running.sheen.access().wait_for("\"GET / HTTP/1.1\" 499");
    running.sheen.access().wait_for("\"GET /stays HTTP/1.1\" 504");
}

#[test]
fn there_are_so_many_connections_as_the_workers_have() {
    let http = "server { listen 127.0.0.1:HTTP_PORT; return 200 x; }";
    let running = Running::start(http, &[NAME]);
    running.sheen.allow_log("connection refused: limits.connections");
    // The harness gives its one worker 64.
    let mut open: Vec<Client> = Vec::new();
    for _ in 0..64 {
        let mut client = Client::plain(running.http);
        client.get(NAME, "/");
        open.push(client);
    }
    let mut stream = TcpStream::connect(running.http).unwrap();
    stream.set_read_timeout(Some(wait::DEADLINE)).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)), "one too many");
    open.pop();
    wait::until("a place is free", || {
        let mut client = Client::plain(running.http);
        client.try_send(request("/")).is_ok() && client.try_answer("GET").is_ok()
    });
}

#[test]
fn an_app_may_take_its_time_in_one_location_and_not_in_another() {
    let app = Upstream::start(|conn| {
        while let Ok(Some(request)) = conn.try_request() {
            if request.head.line.contains("/short") {
                return drop(conn.rest());
            }
            wait::holds_within(Duration::from_millis(700), || false);
            conn.send(ok("late"));
        }
    });
    let http = "proxy_read_timeout 400ms; server { listen 127.0.0.1:HTTP_PORT;
        location /short { proxy_pass http://APP; }
        location / { proxy_read_timeout 20d; proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    running
        .sheen
        .expect_log("upstream timed out (110: Connection timed out) while reading response header");
    assert_eq!(running.get(NAME, "/short").status(), 504);
    assert_eq!(running.get(NAME, "/").text(), "late");
}

#[test]
fn a_client_that_takes_nothing_is_given_up_where_send_timeout_says_so() {
    const LEN: usize = 300_000_000;
    let app = Upstream::start(|conn| {
        conn.head();
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"));
        let piece = sheen_tests::pattern(0, 1 << 20);
        while conn.send(&piece) {}
    });
    let http = "proxy_buffering off; send_timeout 1h; server { listen 127.0.0.1:HTTP_PORT;
        location / { proxy_pass http://APP; }
        location /short { send_timeout 300ms; proxy_pass http://APP; } }";
    let Some(both) = Both::start(&http.replace("APP", app.address()), &[NAME]) else { return };
    both.sheen.sheen.allow_log("client timed out");
    for side in both.sides() {
        let [mut kept, mut given_up] = ["/", "/short"].map(|target| {
            let mut client = side.plain();
            client.send(request(target));
            client
        });
        wait::until("both have the app's attention", || app.open() == 2);
        wait::until("one of them is given up", || app.open() == 1);
        assert!(given_up.rest().0.len() < LEN, "{}", side.name);
        kept.read_exact(&mut vec![0; 16 << 20]).unwrap();
        drop(kept);
        wait::until("the end", || app.open() == 0);
    }
}

#[test]
fn an_app_that_takes_nothing_is_given_up_where_proxy_send_timeout_says_so() {
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_over);
    let app = Upstream::start(move |conn| {
        conn.head();
        wait::until("the end of the test", || seen.load(Ordering::SeqCst));
    });
    let http = "client_max_body_size 0; proxy_request_buffering off; proxy_send_timeout 1h;
        server { listen 127.0.0.1:HTTP_PORT;
            location / { proxy_send_timeout 300ms; proxy_pass http://APP; } }";
    let Some(both) = Both::start(&http.replace("APP", app.address()), &[NAME]) else { return };
    let words = "upstream timed out (110: Connection timed out) while sending request to upstream";
    both.sheen.sheen.expect_log(words);
    let statuses = both.sides().map(|side| {
        let mut client = side.plain();
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 67108864\r\n\r\n");
        let piece = sheen_tests::pattern(0, 1 << 20);
        // It may have been answered before the end.
        let _ = (0..64).try_for_each(|_| client.try_send(&piece));
        client.answer("POST").status()
    });
    is_over.store(true, Ordering::SeqCst);
    assert_eq!(statuses, [504, 504]);
}

#[test]
fn a_body_that_a_head_did_not_ask_for_is_not_the_next_answer() {
    // Asked with GET for a client's HEAD, its body comes when the client has had its answer.
    let app = Upstream::start(|conn| {
        while let Ok(Some(request)) = conn.try_request() {
            if request.head.line.starts_with("GET /made") {
                conn.send("HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n");
                return drop(conn.rest());
            }
            conn.send(ok("next"));
        }
    });
    let http = "server { listen 127.0.0.1:HTTP_PORT;
        location / { proxy_pass http://APP; }
        location /made { proxy_method GET; proxy_pass http://APP; } }";
    let running = Running::start(&http.replace("APP", app.address()), &[NAME]);
    let mut client = Client::plain(running.http);
    client.send(format!("HEAD /made HTTP/1.1\r\nHost: {NAME}\r\n\r\n"));
    assert_eq!(client.answer("HEAD").status(), 200);
    assert_eq!(client.get(NAME, "/").text(), "next");
}
