//! The connection to the app: reuse, retry, fallback, unix sockets, and answers that are none.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sheen_tests::client::End;
use sheen_tests::message::Source;
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::{Upstream, ok};
use sheen_tests::wait;

/// An address that refuses connections, and that nobody else can take while this lives: a socket
/// that has it and does not listen.
struct Closed(TcpListener);

impl Closed {
    /// Port 0 is any. `None`: taken, or none of this machine's.
    fn at(address: IpAddr, port: u16) -> Option<Self> {
        use rustix::net::{AddressFamily, SocketType, bind, socket};
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket(family, SocketType::STREAM, None).ok()?;
        bind(&socket, &SocketAddr::new(address, port)).ok()?;
        Some(Self(socket.into()))
    }

    fn any() -> Self {
        Self::at(V4, 0).unwrap()
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Listens from now on.
    fn open(self) -> TcpListener {
        rustix::net::listen(&self.0, 128).unwrap();
        self.0
    }
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

#[test]
fn an_app_that_is_not_there_is_a_502_that_a_person_understands() {
    let closed = Closed::any();
    let sheen = Setup::to_address(&closed.address().to_string()).start();
    sheen.expect_log("while connecting to upstream");
    for _ in 0..2 {
        let answer = sheen.client().get(NAME, "/");
        assert_eq!(answer.status(), 502);
        assert!(answer.text().contains("The app is not answering"), "{}", answer.text());
        assert!(answer.field("content-type").unwrap().starts_with("text/html"));
    }
    let line = sheen.log().wait_for("while connecting to upstream");
    assert!(line.contains("client: 127.0.0.1"), "{line}");
    assert!(line.contains("request: \"GET / HTTP/1.1\""), "{line}");
    assert!(line.contains("upstream: "), "{line}");
}

#[test]
fn an_app_that_comes_back_is_found_at_once() {
    let closed = Closed::any();
    let sheen = Setup::to_address(&closed.address().to_string()).start();
    sheen.expect_log("while connecting to upstream");
    assert_eq!(sheen.client().get(NAME, "/").status(), 502);
    let app =
        Upstream::start_on(closed.open(), |conn| conn.answer_all(|_| ok("back").into_bytes()));
    assert_eq!(sheen.client().get(NAME, "/").text(), "back");
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_unix_socket_is_an_app_too() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("app.sock");
    let app = Upstream::start_unix(&path, |conn| {
        conn.answer_all(|request| ok(&request.head.raw).into_bytes());
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        assert_eq!(client.get(NAME, "/").mirrored().field("host"), Some(NAME));
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_missing_unix_socket_is_a_502() {
    let sheen = Setup::to_address("unix:/nowhere/app.sock").start();
    sheen.expect_log("while connecting to upstream");
    assert_eq!(sheen.client().get(NAME, "/").status(), 502);
}

#[test]
fn a_port_alone_finds_an_app_on_either_loopback_address() {
    let mut addresses = vec![V4, V6];
    addresses.retain(|address| Closed::at(*address, 0).is_some());
    for address in &addresses {
        // The port is held closed at the other address: somebody else's app could answer there.
        let (here, _there) = (0..100)
            .find_map(|_| {
                let here = Closed::at(*address, 0)?;
                let port = here.address().port();
                let others = addresses.iter().filter(|other| *other != address);
                let there =
                    others.map(|other| Closed::at(*other, port)).collect::<Option<Vec<_>>>();
                Some((here, there?))
            })
            .expect("a port that is free at both");
        let app =
            Upstream::start_on(here.open(), |conn| conn.answer_all(|_| ok("here").into_bytes()));
        let sheen = Setup::to_address(&format!(":{}", app.port())).start();
        // The address that refused may be mentioned; the request must not suffer.
        assert_eq!(sheen.client().get(NAME, "/").text(), "here", "{address}");
    }
}

#[test]
fn connections_are_reused_by_other_clients() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    for _ in 0..10 {
        assert_eq!(sheen.client().get(NAME, "/").text(), "ok");
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn requests_at_the_same_time_get_connections_of_their_own() {
    let inside = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&inside);
    let app = Upstream::start(move |conn| {
        conn.answer_all(|_| {
            count.fetch_add(1, Ordering::SeqCst);
            wait::until("all five", || count.load(Ordering::SeqCst) == 5);
            ok("together").into_bytes()
        });
    });
    let sheen = Setup::to(&app).start();
    let mut clients: Vec<_> = (0..5).map(|_| sheen.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.answer("GET").text(), "together");
    }
    assert_eq!(app.connections(), 5);
}

/// An app that serves one request on its first connection and, when the second comes, closes
/// instead of answering.
fn forgetful_app() -> Upstream {
    Upstream::start(|conn| {
        conn.request();
        conn.send(ok("once"));
        if conn.index == 0 {
            // Sheen believes the connection alive until it has sent the next request on it.
            let _ = conn.try_request();
            return;
        }
        conn.answer_all(|_| ok("again").into_bytes());
    })
}

#[test]
fn a_get_on_a_pooled_connection_that_turns_out_dead_is_sent_again() {
    let app = forgetful_app();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").text(), "once");
    assert_eq!(client.get(NAME, "/").text(), "once");
    assert_eq!(app.connections(), 2);
}

#[test]
fn a_post_with_a_body_is_never_sent_twice() {
    let app = forgetful_app();
    let sheen = Setup::to(&app).start();
    sheen.expect_log("upstream: ");
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").text(), "once");
    client.send("POST /charge HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.answer("POST").status(), 502);
    assert_eq!(app.received().matches("POST /charge").count(), 1);
}

#[test]
fn a_fresh_connection_that_dies_is_not_tried_again() {
    let app = Upstream::start(|conn| {
        conn.request();
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("while reading response header from upstream");
    assert_eq!(sheen.client().get(NAME, "/").status(), 502);
    assert_eq!(app.connections(), 1);
}

#[test]
fn an_app_that_closes_idle_connections_is_not_noticed() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send(ok("ok"));
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for turn in 1..=10 {
        assert_eq!(client.get(NAME, "/").text(), "ok");
        wait::until("the app's close", || app.open() == 0);
        assert_eq!(app.connections(), turn);
    }
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.answer("POST").text(), "ok");
}

#[test]
fn bytes_behind_an_answer_end_the_connection_and_reach_nobody() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send(ok("right") + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nplanted");
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        assert_eq!(client.get(NAME, "/").text(), "right");
    }
    assert_eq!(app.connections(), 3);
}

/// Answers that are none, or that could be read in two ways.
const WRONG: &[&str] = &[
    "garbage\r\n\r\n",
    "\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX y: a\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok",
];

#[test]
fn an_answer_that_is_none_is_a_502() {
    let mut wrong = Vec::new();
    for answer in WRONG {
        let app = Upstream::start(move |conn| {
            conn.request();
            conn.send(*answer);
        });
        let sheen = Setup::to(&app).start();
        let mut client = sheen.client();
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
        let status = client.try_answer("GET").map(|answer| answer.status());
        if status != Ok(502) {
            wrong.push(format!("{answer:?} -> {status:?}"));
        } else {
            sheen.expect_log("upstream: ");
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), WRONG.len(), wrong.join("\n"));
}

#[test]
fn an_answer_with_a_head_too_large_is_a_502() {
    for (limit, fields) in [
        ("response_head_bytes = 4096", format!("X: {}\r\n", "x".repeat(5000))),
        ("", format!("X: {}\r\n", "x".repeat(70 << 10))),
        ("", "X: y\r\n".repeat(300)),
    ] {
        let app = Upstream::start(move |conn| {
            conn.request();
            conn.send(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n"));
            conn.rest();
        });
        let sheen = Setup::to(&app).limits(limit).start();
        sheen.expect_log("upstream: ");
        assert_eq!(sheen.client().get(NAME, "/").status(), 502);
    }
}

#[test]
fn a_large_answer_head_within_the_limit_passes() {
    let value = "x".repeat(60 << 10);
    let app = Upstream::answering(format!(
        "HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 2\r\n\r\nok"
    ));
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for _ in 0..2 {
        let answer = client.get(NAME, "/");
        assert_eq!((answer.field("x"), answer.text().as_str()), (Some(value.as_str()), "ok"));
    }
}

#[test]
fn an_app_that_resets_before_its_answer_is_a_502() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.reset_on_close();
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("while reading response header from upstream");
    assert_eq!(sheen.client().get(NAME, "/").status(), 502);
}

#[test]
fn an_app_that_answers_before_it_is_asked_is_never_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = std::thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        // Sent with the accept: plaintext injected before the request (nginx CVE-2026-1642).
        stream.write_all(ok("early").as_bytes()).unwrap();
        wait::pass(Duration::from_millis(500));
    });
    let sheen = Setup::to_address(&address.to_string()).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    // Taken as the answer or refused: but never left over for a second request.
    let status = client.answer("GET").status();
    assert!([200, 502].contains(&status), "{status}");
    if status == 502 {
        sheen.expect_log("upstream: ");
    }
    accepting.join().unwrap();
}

#[test]
fn a_client_that_gives_up_ends_the_request_to_the_app() {
    let app = Upstream::start(|conn| {
        conn.request();
        assert!(!conn.fill(), "nothing but the end comes");
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    wait::until("the request", || app.open() == 1);
    drop(client);
    wait::until("the end of the app's connection", || app.open() == 0);
}

#[test]
fn a_client_that_gives_up_a_download_stops_the_app() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        let piece = sheen_tests::pattern(0, 1 << 20);
        while conn.send(&piece) {}
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(client.fill());
    drop(client);
    wait::until("the end of the app's connection", || app.open() == 0);
}

#[test]
fn a_503_of_the_app_is_the_apps() {
    let app = Upstream::answering(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 4\r\n\r\nbusy",
    );
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    let answer = client.get(NAME, "/");
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"));
    assert_eq!(answer.field("retry-after"), Some("5"));
    client.close_notify();
    assert_eq!(client.rest().1, End::Clean);
}
