//! Sizes and counts have bounds, each with its status, and a crowd cannot take every connection.

use sheen_tests::client::{Client, Offer};
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;

fn status(sheen: &Sheen, request: &str) -> u16 {
    let mut client = sheen.client();
    // The refusal may come while we still send.
    let _ = client.try_send(request);
    let answer = client.answer("GET");
    if answer.status() != 200 {
        assert_eq!(answer.field("connection"), Some("close"), "{}", answer.head.raw);
    }
    answer.status()
}

/// A GET whose head has exactly `len` bytes.
fn head_of(len: usize) -> String {
    let base = "GET / HTTP/1.1\r\nHost: app.test\r\nX: \r\n\r\n";
    let fill = "x".repeat(len - base.len());
    format!("GET / HTTP/1.1\r\nHost: app.test\r\nX: {fill}\r\n\r\n")
}

#[test]
fn a_head_may_have_as_many_bytes_as_configured() {
    let app = Upstream::ok("ok");
    let sheen =
        Setup::to(&app).limits("request_head_bytes = 4096\nrequest_target_bytes = 2048").start();
    assert_eq!(status(&sheen, &head_of(4000)), 200);
    assert_eq!(status(&sheen, &head_of(4200)), 431);
    assert_eq!(status(&sheen, &head_of(400_000)), 431);
    // One that never ends is refused all the same.
    assert_eq!(
        status(&sheen, &format!("GET / HTTP/1.1\r\nHost: app.test\r\nX: {}", "x".repeat(9000))),
        431
    );
}

#[test]
fn by_default_a_head_may_have_32_kilobytes() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    assert_eq!(status(&sheen, &head_of(32_000)), 200);
    assert_eq!(status(&sheen, &head_of(33_000)), 431);
}

#[test]
fn a_head_may_have_as_many_fields_as_configured() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).limits("request_fields = 20").start();
    let with = |count: usize| {
        let fields: String = (1..count).map(|number| format!("X-{number}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: app.test\r\n{fields}\r\n")
    };
    assert_eq!(status(&sheen, &with(20)), 200);
    assert_eq!(status(&sheen, &with(21)), 431);
    assert_eq!(status(&sheen, &with(200)), 431);
    assert_eq!(status(&sheen, &with(2000)), 431);
}

#[test]
fn a_target_may_have_as_many_bytes_as_configured() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).limits("request_target_bytes = 1024").start();
    let with =
        |len: usize| format!("GET /{} HTTP/1.1\r\nHost: app.test\r\n\r\n", "x".repeat(len - 1));
    assert_eq!(status(&sheen, &with(1024)), 200);
    assert_eq!(status(&sheen, &with(1025)), 414);
    assert_eq!(status(&sheen, &with(30_000)), 414);
    assert_eq!(status(&sheen, &with(300_000)), 414);
}

#[test]
fn many_connections_and_requests_do_not_wear_it_out() {
    let app = Upstream::ok("ok");
    let sheen = Setup { workers: 2, ..Setup::to(&app) }.start();
    for _ in 0..200 {
        assert_eq!(sheen.client().get(NAME, "/").status(), 200);
    }
}

/// Whether a connection made now is served.
fn is_served(sheen: &Sheen) -> bool {
    let config = Offer::default().config();
    let Ok(mut client) = Client::tls_with(sheen.https(), NAME, &config) else {
        return false;
    };
    client.try_send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").is_ok()
        && client.try_answer("GET").is_ok_and(|answer| answer.status() == 200)
}

#[test]
fn connections_beyond_the_maximum_are_not_served_until_others_end() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).limits("connections = 10\nconnections_per_address = 10").start();
    let mut held: Vec<Client> = (0..10).map(|_| sheen.client()).collect();
    for client in &mut held {
        assert_eq!(client.get(NAME, "/").status(), 200);
    }
    assert!(!is_served(&sheen));
    for client in &mut held {
        assert_eq!(client.get(NAME, "/").status(), 200);
    }
    held.pop();
    wait::until("a free place", || is_served(&sheen));
}

#[test]
fn one_address_may_hold_its_share_only() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).limits("connections = 100\nconnections_per_address = 5").start();
    let mut held: Vec<Client> = (0..5).map(|_| sheen.client()).collect();
    for client in &mut held {
        assert_eq!(client.get(NAME, "/").status(), 200);
    }
    assert!(!is_served(&sheen));
    // Somebody else is not affected.
    assert_eq!(elsewhere(&sheen), 200);
    held.clear();
    wait::until("a free place", || is_served(&sheen));
}

/// Status of a GET from 127.0.0.2.
fn elsewhere(sheen: &Sheen) -> u16 {
    let mut client = Client::plain_from("127.0.0.2".parse().unwrap(), sheen.https());
    client.start_tls(NAME, &Offer::default().config());
    client.handshake().unwrap();
    client.get(NAME, "/").status()
}

#[test]
fn the_share_is_kept_across_workers() {
    let app = Upstream::ok("ok");
    let sheen = Setup { workers: 2, ..Setup::to(&app) }
        .limits("connections = 100\nconnections_per_address = 8")
        .start();
    let held: Vec<Client> = (0..8).map(|_| sheen.client()).collect();
    assert!((0..8).all(|_| !is_served(&sheen)));
    drop(held);
    wait::until("a free place", || is_served(&sheen));
}
