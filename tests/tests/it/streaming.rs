//! Bodies far larger than any buffer: byte for byte, with bounded memory, no faster than the slower
//! side.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sheen_tests::client::{Client, End};
use sheen_tests::message::{self, Source, read_head};
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::{Conn, Upstream, ok};
use sheen_tests::{is_pattern, pattern, wait};

const BIG: u64 = 300 << 20;
const RSS_MAX: u64 = 64 << 20;
/// More than the socket buffers of both hops hold, far less than the body.
const BUFFERED_MAX: u64 = 48 << 20;

fn memory_is_bounded(sheen: &Sheen) {
    let peak = sheen.rss_peak_bytes();
    assert!(peak < RSS_MAX, "{} MiB resident", peak >> 20);
}

/// Sends `len` bytes of the pattern in pieces; counts what went into `sent`.
fn send_pattern(conn: &mut Conn, len: u64, sent: &AtomicU64) {
    let mut offset = 0;
    while offset < len {
        let piece = pattern(offset, (len - offset).min(256 << 10) as usize);
        if !conn.send(&piece) {
            return;
        }
        offset += piece.len() as u64;
        sent.store(offset, Ordering::SeqCst);
    }
}

/// Reads `len` bytes and checks each against the pattern.
fn read_pattern(source: &mut (impl Source + Read), len: u64) {
    let mut chunk = vec![0; 256 << 10];
    let mut offset = 0;
    while offset < len {
        let room = chunk.len().min((len - offset) as usize);
        let got = source.read(&mut chunk[..room]).unwrap();
        assert!(got > 0, "ended at byte {offset} of {len}");
        assert!(is_pattern(offset, &chunk[..got]), "wrong bytes at {offset}");
        offset += got as u64;
    }
}

/// An app that answers every request with `len` bytes of the pattern; and how many it could send.
fn download_app(len: u64) -> (Upstream, Arc<AtomicU64>) {
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let app = Upstream::start(move |conn| {
        while conn.request().is_some() {
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n"));
            send_pattern(conn, len, &count);
        }
    });
    (app, sent)
}

/// Waits until `counter` stands still and returns it.
fn settled(counter: &AtomicU64) -> u64 {
    let (mut last, mut since) = (counter.load(Ordering::SeqCst), Instant::now());
    wait::until("the sender to stall", || {
        let now = counter.load(Ordering::SeqCst);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        now > 0 && since.elapsed() > Duration::from_millis(700)
    });
    last
}

#[test]
fn a_300_mb_download_arrives_byte_for_byte() {
    let (app, _) = download_app(BIG);
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let head = read_head(&mut client).unwrap().unwrap();
    assert_eq!(head.field("content-length"), Some(BIG.to_string().as_str()));
    read_pattern(&mut client, BIG);
    memory_is_bounded(&sheen);
}

#[test]
fn a_chunked_download_with_chunks_of_all_sizes_arrives_byte_for_byte() {
    const LEN: u64 = 30 << 20;
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let (mut offset, mut size) = (0, 1);
        while offset < LEN {
            let len = (LEN - offset).min(size);
            let head = format!("{len:x}\r\n");
            let bytes = pattern(offset, len as usize);
            conn.send([head.as_bytes(), &bytes, b"\r\n"].concat());
            offset += len;
            size = size * 3 % 1_000_003;
        }
        conn.send("0\r\n\r\n");
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let answer = sheen.client().get(NAME, "/");
    assert_eq!(answer.body.len() as u64, LEN);
    assert!(is_pattern(0, &answer.body));
    memory_is_bounded(&sheen);
}

/// An app that checks `len` bytes of the pattern and answers; the body framed either way.
fn upload_app(len: u64) -> Upstream {
    Upstream::start(move |conn| {
        let head = conn.head();
        if head.field("transfer-encoding").is_none() {
            read_pattern(conn, len);
        } else {
            let mut offset = 0;
            loop {
                let line = message::read_line(conn).unwrap();
                let size = usize::from_str_radix(&line, 16).unwrap();
                let chunk = message::read_exactly(conn, size + 2).unwrap();
                assert!(is_pattern(offset, &chunk[..size]), "wrong bytes near {offset}");
                offset += size as u64;
                if size == 0 {
                    break;
                }
            }
            assert_eq!(offset, len);
        }
        conn.send(ok("whole"));
        conn.rest();
    })
}

#[test]
fn a_300_mb_upload_arrives_byte_for_byte() {
    let app = upload_app(BIG);
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {BIG}\r\n\r\n"));
    let mut offset = 0;
    while offset < BIG {
        let piece = pattern(offset, (BIG - offset).min(256 << 10) as usize);
        client.send(&piece);
        offset += piece.len() as u64;
    }
    assert_eq!(client.answer("POST").text(), "whole");
    memory_is_bounded(&sheen);
}

#[test]
fn a_chunked_upload_with_chunks_of_all_sizes_arrives_byte_for_byte() {
    const LEN: u64 = 30 << 20;
    let app = upload_app(LEN);
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let (mut offset, mut size) = (0, 1);
    while offset < LEN {
        let len = (LEN - offset).min(size);
        let head = format!("{len:X};a=b\r\n");
        client.send([head.as_bytes(), &pattern(offset, len as usize), b"\r\n"].concat());
        offset += len;
        size = size * 3 % 1_000_003;
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer("POST").text(), "whole");
    memory_is_bounded(&sheen);
}

#[test]
fn a_client_that_does_not_read_stops_the_app() {
    const LEN: u64 = 200 << 20;
    let (app, sent) = download_app(LEN);
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    let stalled = settled(&sent);
    assert!(stalled < BUFFERED_MAX, "the app could send {} MiB", stalled >> 20);
    read_head(&mut client).unwrap().unwrap();
    read_pattern(&mut client, LEN);
    memory_is_bounded(&sheen);
}

#[test]
fn an_app_that_does_not_read_stops_the_client() {
    const LEN: u64 = 200 << 20;
    let go = Arc::new(AtomicU64::new(0));
    let gate = Arc::clone(&go);
    let app = Upstream::start(move |conn| {
        conn.head();
        wait::until("leave to read", || gate.load(Ordering::SeqCst) == 1);
        read_pattern(conn, LEN);
        conn.send(ok("whole"));
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let upload = std::thread::spawn(move || {
        client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {LEN}\r\n\r\n"));
        let mut offset = 0;
        while offset < LEN {
            client.send(pattern(offset, 256 << 10));
            offset += 256 << 10;
            count.store(offset, Ordering::SeqCst);
        }
        client.answer("POST").text()
    });
    let stalled = settled(&sent);
    assert!(stalled < BUFFERED_MAX, "the client could send {} MiB", stalled >> 20);
    go.store(1, Ordering::SeqCst);
    assert_eq!(upload.join().unwrap(), "whole");
    memory_is_bounded(&sheen);
}

#[test]
fn a_tunnel_is_no_faster_than_its_slower_side() {
    const LEN: u64 = 100 << 20;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let app = Upstream::start(move |conn| {
        sheen_tests::websocket::accept(conn);
        send_pattern(conn, LEN, &count);
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(sheen_tests::websocket::request("/"));
    let stalled = settled(&sent);
    assert!(stalled < BUFFERED_MAX, "the app could send {} MiB", stalled >> 20);
    assert_eq!(read_head(&mut client).unwrap().unwrap().status(), 101);
    read_pattern(&mut client, LEN);
    memory_is_bounded(&sheen);
}

#[test]
fn many_downloads_at_once_share_the_memory() {
    const LEN: u64 = 8 << 20;
    let (app, _) = download_app(LEN);
    let sheen = Setup { workers: 2, ..Setup::to(&app) }.start();
    let mut clients: Vec<Client> = (0..32).map(|_| sheen.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
    }
    for client in &mut clients {
        read_head(client).unwrap().unwrap();
        read_pattern(client, LEN);
        assert_eq!(client.rest(), (Vec::new(), End::Clean));
    }
    memory_is_bounded(&sheen);
}

#[test]
fn an_app_is_heard_before_its_answer_is_complete() {
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for number in 0..3 {
            conn.send(format!("2\r\n{number}\n\r\n"));
            // The next piece only after the client said that it has this one.
            let mut line = [0; 1];
            conn.read_exact(&mut line).unwrap_or_default();
        }
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("while reading upstream");
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    read_head(&mut client).unwrap().unwrap();
    let first = message::read_exactly(&mut client, 7).unwrap();
    assert_eq!(first, b"2\r\n0\n\r\n");
}

#[test]
fn an_upload_and_its_answer_stream_at_the_same_time() {
    let app = Upstream::start(|conn| {
        conn.head();
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..10 {
            let line = message::read_exactly(conn, 4).unwrap();
            conn.send([b"4\r\n", line.as_slice(), b"\r\n"].concat());
        }
        conn.send("0\r\n\r\n");
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 40\r\n\r\n");
    read_head(&mut client).unwrap().unwrap();
    for turn in 0..10 {
        let word = format!("{turn:04}");
        client.send(&word);
        let echoed = message::read_exactly(&mut client, 9).unwrap();
        assert_eq!(String::from_utf8_lossy(&echoed), format!("4\r\n{word}\r\n"));
    }
    assert_eq!(message::read_exactly(&mut client, 5).unwrap(), b"0\r\n\r\n");
}
