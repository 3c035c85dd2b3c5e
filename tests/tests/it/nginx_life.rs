//! How connections and the process begin and end by an nginx.conf, and what outlives a reload.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sheen_tests::both::{Both, Side};
use sheen_tests::client::Client;
use sheen_tests::nginx_conf::{self, Running};
use sheen_tests::sheen::{NAME, Reload, command};
use sheen_tests::{wait, websocket};
use tempfile::TempDir;
use tungstenite::protocol::Role;

const OWN: &str = "server { listen 127.0.0.1:HTTP_PORT; listen 127.0.0.1:HTTPS ssl;
    ssl_certificate site.crt; ssl_certificate_key site.key; location / { return 200 x; }
    location /fault { proxy_pass http://127.0.0.1:1; } }";

#[test]
fn quit_does_not_wait_for_clients_that_have_their_answer() {
    for (late, target, status) in [(false, "/", 200), (true, "/", 200), (false, "/fault", 502)] {
        let mut running = Running::start(OWN, &[NAME]);
        running.sheen.allow_log("connect() failed");
        let open = [Client::plain(running.http), Client::tls(running.https, NAME)];
        let mut open = open.map(|mut client| {
            client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"));
            if !late {
                client.send("\r\n");
                assert_eq!(client.answer("GET").status(), status);
            }
            client
        });
        wait::until("both are there", || running.sheen.log().holds("ready"));
        running.sheen.signal(Signal::QUIT);
        let begun = Instant::now();
        if late {
            running.sheen.log().wait_for("shutting down; 2 connections");
            for client in &mut open {
                client.send("\r\n");
                assert_eq!(client.answer("GET").status(), status);
            }
        }
        // They stay, and close nothing.
        assert!(running.sheen.wait().success());
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        drop(open);
    }
}

#[test]
fn quit_lets_a_client_that_still_sends_read_its_answer() {
    let mut running = Running::start(OWN, &[NAME]);
    let mut client = Client::plain(running.http);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n");
    assert_eq!(client.answer("POST").status(), 200);
    running.sheen.signal(Signal::QUIT);
    running.sheen.log().wait_for("shutting down; 1 connections");
    // A closed connection would be reset by this.
    for _ in 0..8 {
        client.send([b'x'; 100_000]);
    }
    client.closes();
    drop(client);
    assert!(running.sheen.wait().success());
}

#[test]
fn what_outlives_a_reload_is_logged_where_it_began() {
    let app = websocket::echo_app();
    let server = |name: &str, log: &str| {
        format!(
            "server {{ listen 127.0.0.1:HTTP_PORT; server_name {name}; access_log ROOT/{log};
                location / {{ proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection upgrade; proxy_pass http://{}; }} }}",
            app.address()
        )
    };
    let running = Running::start(&server("a.test", "a.log"), &[NAME]);
    let mut client = Client::plain(running.http);
    client.send(websocket::request("/session"));
    assert_eq!(client.answer("GET").status(), 101);
    let mut session = websocket::frames(client, Role::Client);
    let reload = |http: &str| {
        let (plain, secure) = (running.http.port(), running.https.port());
        nginx_conf::write(running.sheen.dir.path(), http, plain, secure);
        assert_eq!(running.sheen.hup(), Reload::Done);
    };
    // Its log is another one of the list, and at last of none.
    reload(&(server("b.test", "b.log") + &server("a.test", "a.log")));
    reload(&server("b.test", "b.log"));
    websocket::echoes(&mut session, "still here");
    drop(session);
    let read = |name| fs::read_to_string(running.sheen.dir.path().join(name)).unwrap();
    wait::until("the line", || read("a.log").contains("GET /session"));
    assert_eq!(read("b.log"), "");
}

/// Starts sheen for an address that another has, in `dir`, and returns when it has asked for it.
fn start_on(taken: &TcpListener, dir: &Path) -> std::process::Child {
    let address = taken.local_addr().unwrap();
    let text = format!(
        "daemon off; error_log error.log;\nevents {{}}\n\
         http {{ access_log off; server {{ listen {address}; return 204; }} }}\n"
    );
    fs::write(dir.join("nginx.conf"), text).unwrap();
    let stderr = File::create(dir.join("stderr")).unwrap();
    let mut command = command(dir);
    let child = command.args(["-c", "nginx.conf"]).stderr(Stdio::from(stderr)).spawn().unwrap();
    let words = format!("[warn] bind() to {address} failed (98: Address already in use)");
    wait::until(&words, || holds(dir, "stderr", &words));
    child
}

fn holds(dir: &Path, name: &str, words: &str) -> bool {
    fs::read_to_string(dir.join(name)).is_ok_and(|text| text.contains(words))
}

#[test]
fn a_start_waits_for_an_address_that_is_about_to_be_free() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = start_on(&taken, dir.path());
    // A signal that comes too early is heard later.
    for signal in [Signal::USR1, Signal::HUP] {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    drop(taken);
    wait::until("it listens", || holds(dir.path(), "stderr", "sheen: ready"));
    wait::until("the reload", || holds(dir.path(), "stderr", "configuration reloaded"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_start_that_fails_says_so_in_the_error_log_too() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut child = start_on(&taken, dir.path());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let address = taken.local_addr().unwrap();
    let words = format!("bind() to {address} failed (98: Address already in use)");
    assert!(holds(dir.path(), "stderr", &format!("sheen: [emerg] {words}\n")));
    let log = fs::read_to_string(dir.path().join("error.log")).unwrap();
    assert!(log.contains("[emerg] ") && log.ends_with(&format!(": {words}\n")), "{log}");
}

/// What both sides make of a request, nginx first.
fn both_say<T>(both: &Both, ask: impl Fn(Side<'_>) -> T) -> [T; 2] {
    both.sides().map(ask)
}

#[test]
fn what_cannot_become_a_request_is_not_waited_for() {
    let Some(both) = Both::start(OWN, &[NAME]) else { return };
    both.sheen.sheen.allow_log("client sent invalid method");
    for sent in [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"\x00", b" GET / HTTP/1.1", b"{\"a\":1}"] {
        let begun = Instant::now();
        let said = both_say(&both, |side| {
            let mut client = side.plain();
            client.send(sent);
            client.answer("GET").status()
        });
        assert_eq!(said, [400, 400], "{sent:?}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{sent:?}");
    }
}

#[test]
fn clients_of_http_1_0_are_told_that_the_connection_goes_on() {
    let http = "server { listen 127.0.0.1:HTTP_PORT; root ROOT;
        location /own { return 200 x; } location /moved { return 301 /x; }
        location /gone { return 410; } location /file { try_files /site.crt =404; } }";
    let Some(both) = Both::start(http, &[NAME]) else { return };
    both.sheen.sheen.allow_log("/none\" failed (2: No such file or directory)");
    for target in ["/own", "/moved", "/gone", "/file", "/none"] {
        for (asked, expected) in
            [("keep-alive", "keep-alive"), ("x", "close"), ("keep-alive, close", "close")]
        {
            let said = both_say(&both, |side| {
                let mut client = side.plain();
                client.send(format!("GET {target} HTTP/1.0\r\nConnection: {asked}\r\n\r\n"));
                let answer = client.answer("GET");
                (answer.status(), answer.field("connection").map(str::to_owned))
            });
            assert_eq!(said[0], said[1], "{target} {asked}");
            assert_eq!(said[1].1.as_deref(), Some(expected), "{target} {asked}");
        }
    }
}

#[test]
fn a_body_beyond_its_limit_is_an_error_for_whoever_set_it() {
    let app = sheen_tests::upstream::Upstream::ok("x");
    let http = format!(
        "error_log ROOT/errors.log; client_max_body_size 10;
         server {{ listen 127.0.0.1:HTTP_PORT; server_name a.test;
            location / {{ proxy_pass http://{}; }} }}",
        app.address()
    );
    let Some(both) = Both::start(&http, &[NAME]) else { return };
    let chunk = "Transfer-Encoding: chunked\r\n\r\nb\r\nhello hello\r\n0\r\n\r\n";
    for (body, words) in [
        (
            "Content-Length: 11\r\n\r\nhello hello",
            "too large body: 11 bytes, client: 127.0.0.1, server: a.test, request: \"POST /up HTTP/1.1\", host: \"a.test\"",
        ),
        (chunk, "too large "),
    ] {
        let words = format!("client intended to send {words}");
        for side in both.sides() {
            let before = fs::read_to_string(side.folder.join("errors.log")).unwrap_or_default();
            let mut client = side.plain();
            client
                .send(format!("POST /up HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{body}"));
            assert_eq!(client.answer("POST").status(), 413, "{}", side.name);
            wait::until(&words, || {
                let text = fs::read_to_string(side.folder.join("errors.log")).unwrap_or_default();
                text[before.len()..].lines().any(|it| it.contains("[error]") && it.contains(&words))
            });
        }
    }
}
