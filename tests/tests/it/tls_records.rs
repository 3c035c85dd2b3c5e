//! TLS below the messages: records cut anywhere, garbage, plain HTTP on the TLS port, cut-off
//! streams.

use sheen_tests::client::{Client, End, Offer};
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;

fn serving(app: &Upstream) -> Sheen {
    Setup::to(app).start()
}

/// A TCP connection with a TLS session of which nothing was sent.
fn fresh(sheen: &Sheen) -> Client {
    let mut client = Client::plain(sheen.https());
    client.start_tls(NAME, &Offer::default().config());
    client
}

#[test]
fn a_handshake_in_single_bytes_succeeds() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    let mut client = fresh(&sheen);
    let hello = client.records(b"");
    for byte in hello {
        client.send_raw(&[byte]);
    }
    client.handshake().unwrap();
    assert_eq!(client.get(NAME, "/").text(), "ok");
}

#[test]
fn records_may_be_cut_at_any_byte() {
    let app = Upstream::echo();
    let sheen = serving(&app);
    let mut client = sheen.client();
    let request = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\n0123456789";
    // A record's header, its kind and its tag.
    let len = request.len() + 5 + 1 + 16;
    for cut in 1..len {
        let records = client.records(request.as_bytes());
        let (first, second) = records.split_at(cut);
        client.send_raw(first);
        client.send_raw(second);
        assert_eq!(client.answer("POST").text(), "0123456789", "cut at byte {cut}");
    }
}

#[test]
fn many_small_records_in_one_write_are_one_stream() {
    let app = Upstream::echo();
    let sheen = serving(&app);
    let mut client = sheen.client();
    let body = sheen_tests::pattern(3, 5000);
    let head = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5000\r\n\r\n";
    let mut records = Vec::new();
    for byte in [head.as_bytes(), &body].concat() {
        records.extend(client.records(&[byte]));
    }
    client.send_raw(&records);
    assert!(client.answer("POST").body == body);
}

#[test]
fn large_records_in_odd_pieces_are_one_stream() {
    let app = Upstream::echo();
    let sheen = serving(&app);
    let mut client = sheen.client();
    let body = sheen_tests::pattern(9, 200_000);
    let mut records =
        client.records(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 200000\r\n\r\n");
    for piece in body.chunks(16_384) {
        records.extend(client.records(piece));
    }
    for piece in records.chunks(7919) {
        client.send_raw(piece);
    }
    assert!(client.answer("POST").body == body);
}

#[test]
fn plain_http_on_the_tls_port_is_told_so() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    for request in [
        "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n",
        "POST /x HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let mut client = Client::plain(sheen.https());
        client.send(request);
        let (bytes, end) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        assert!(text.contains("The plain HTTP request was sent to HTTPS port"), "{text}");
        assert_eq!(end, End::Clean);
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn garbage_instead_of_a_hello_ends_the_connection() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    for garbage in [
        &b"\x00\x01\x02\x03\x04\x05\x06\x07"[..],
        &[0xff; 5000],
        &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3],
        &[0x16, 3, 1, 0, 5, 99, 0, 0, 1, 0],
        &[0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5],
        &[0x15, 3, 3, 0, 2, 2, 40],
        &[0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10],
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ] {
        let mut client = Client::plain(sheen.https());
        let _ = client.try_send(garbage);
        // One that could still become a hello waits for its rest.
        client.shutdown_write();
        let (_, end) = client.rest();
        assert!(matches!(end, End::Clean | End::Reset), "{end:?}");
    }
    assert_eq!(sheen.client().get(NAME, "/").text(), "ok");
}

#[test]
fn a_changed_record_ends_the_connection_with_an_alert() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    for position in [0, 5, 20, 60] {
        let mut client = sheen.client();
        let mut records =
            client.records(b"GET / HTTP/1.1\r\nHost: app.test\r\nX: 0123456789\r\n\r\n");
        records[position] ^= 0x20;
        client.send_raw(&records);
        let (bytes, end) = client.rest();
        assert!(bytes.is_empty(), "{}", String::from_utf8_lossy(&bytes));
        assert!(matches!(&end, End::Tls(_)), "{position}: {end:?}");
    }
    assert_eq!(app.connections(), 0);
}

#[test]
fn a_connection_that_says_nothing_is_no_fault() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    drop(Client::plain(sheen.https()));
    let mut client = Client::plain(sheen.https());
    client.shutdown_write();
    client.rest();
    let mut client = fresh(&sheen);
    let hello = client.records(b"");
    client.send_raw(&hello[..hello.len() / 2]);
    drop(client);
    assert_eq!(sheen.client().get(NAME, "/").text(), "ok");
}

#[test]
fn an_upload_cut_off_without_close_notify_never_completes() {
    let app = Upstream::start(|conn| {
        let request = conn.try_request();
        assert!(request.is_err(), "{request:?}");
    });
    let sheen = serving(&app);
    for head in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
    {
        let before = app.connections();
        let mut client = sheen.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{head}"));
        wait::until("the app's connection", || app.connections() > before);
        client.shutdown_write();
        wait::until("the end of the app's connection", || app.open() == 0);
    }
}

#[test]
fn a_request_cut_off_without_close_notify_is_not_served() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n");
    client.shutdown_write();
    let (bytes, _) = client.rest();
    assert!(!bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(app.connections(), 0);
}

#[test]
fn a_renegotiation_or_a_second_hello_is_refused() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    let mut client = sheen.client();
    let mut other = fresh(&sheen);
    let hello = other.records(b"");
    client.send_raw(&hello);
    let (bytes, end) = client.rest();
    assert!(bytes.is_empty() && end != End::Clean, "{end:?}");
}

#[test]
fn a_flood_of_key_updates_is_survived() {
    let app = Upstream::ok("ok");
    let sheen = serving(&app);
    let mut client = sheen.client();
    for _ in 0..2000 {
        client.session().refresh_traffic_keys().unwrap();
        let update = client.records(b"");
        if client.try_send_raw(&update).is_err() {
            break;
        }
    }
    // Served or refused: but bounded, and nobody else suffers.
    let _ = client.try_send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let _ = client.try_answer("GET");
    assert_eq!(sheen.client().get(NAME, "/").text(), "ok");
    assert!(sheen.rss_peak_bytes() < 64 << 20);
}
