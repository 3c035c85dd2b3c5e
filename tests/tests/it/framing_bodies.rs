//! Chunked bodies that are not exactly right: refused, and never completed towards the app.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sheen_tests::client::End;
use sheen_tests::message::Head;
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::{Upstream, ok};

#[test]
fn wrong_chunks_are_refused_and_never_complete_a_request() {
    let whole = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&whole);
    let app = Upstream::start(move |conn| {
        while let Ok(Some(_)) = conn.try_request() {
            count.fetch_add(1, Ordering::SeqCst);
            conn.send(ok("whole"));
        }
    });
    let sheen = Setup::to(&app).start();
    let mut wrong = Vec::new();
    for (case, chunks) in WRONG {
        let mut client = sheen.client();
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(chunks);
        let (bytes, end) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        let refused = text.starts_with("HTTP/1.1 400 ")
            && Head::parse(&bytes).field("connection") == Some("close");
        if !refused || end != End::Clean {
            wrong.push(format!("{case}: {chunks:?} -> {end:?} after {text:?}"));
        }
        if whole.swap(0, Ordering::SeqCst) != 0 {
            wrong.push(format!("{case}: {chunks:?} was completed"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), WRONG.len(), wrong.join("\n"));
    assert_eq!(sheen.client().get(NAME, "/").status(), 200);
    assert!(!app.received().contains("hidden"));
}

/// A body and what is wrong with it.
const WRONG: &[(&str, &str)] = &[
    ("empty size", "\r\nabc\r\n0\r\n\r\n"),
    ("letter", "g\r\nabc\r\n0\r\n\r\n"),
    ("seventeen digits", "00000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("above u64", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ("minus", "-1\r\nabc\r\n0\r\n\r\n"),
    ("plus", "+3\r\nabc\r\n0\r\n\r\n"),
    ("prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
    ("underscore", "0_3\r\nabc\r\n0\r\n\r\n"),
    ("leading space", " 3\r\nabc\r\n0\r\n\r\n"),
    ("leading tab", "\t3\r\nabc\r\n0\r\n\r\n"),
    ("space inside", "3 3\r\nabc\r\n0\r\n\r\n"),
    ("bare LF after the size", "3\nabc\r\n0\r\n\r\n"),
    ("bare CR after the size", "3\rabc\r\n0\r\n\r\n"),
    ("LF in the extension", "3;a=b\nabc\r\n0\r\n\r\n"),
    ("CR in the extension", "3;a=b\rc\r\nabc\r\n0\r\n\r\n"),
    ("NUL in the extension", "3;a=\0\r\nabc\r\n0\r\n\r\n"),
    ("no CRLF after the data", "3\r\nabc0\r\n\r\n"),
    ("bare LF after the data", "3\r\nabc\n0\r\n\r\n"),
    ("data too long", "3\r\nabcd\r\n0\r\n\r\n"),
    ("last chunk a letter", "3\r\nabc\r\nz\r\n\r\n"),
    ("bare LF at the end", "3\r\nabc\r\n0\r\n\nGET /hidden HTTP/1.1\r\n\r\n"),
    ("bare LF after nought", "3\r\nabc\r\n0\n\r\n"),
    ("folded trailer", "3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n"),
    ("trailer without colon", "3\r\nabc\r\n0\r\nGET /hidden HTTP/1.1\r\n\r\n"),
    ("trailer with an empty name", "3\r\nabc\r\n0\r\n: x\r\n\r\n"),
    ("space before a trailer's colon", "3\r\nabc\r\n0\r\nX : y\r\n\r\n"),
    ("NUL in a trailer", "3\r\nabc\r\n0\r\nX: \0\r\n\r\n"),
];

#[test]
fn a_huge_extension_and_a_huge_trailer_section_are_refused() {
    let app = Upstream::start(|conn| {
        assert!(!matches!(conn.try_request(), Ok(Some(_))), "a whole request");
    });
    let sheen = Setup::to(&app).start();
    let extension = format!("3;a={}\r\nabc\r\n0\r\n\r\n", "x".repeat(64 << 10));
    let trailers = format!("3\r\nabc\r\n0\r\n{}\r\n", "X-A: y\r\n".repeat(64 << 10));
    for body in [extension, trailers] {
        let mut client = sheen.client();
        client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        // The refusal may come while we still send.
        let _ = client.try_send(body);
        let (bytes, _) = client.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            ["HTTP/1.1 400 ", "HTTP/1.1 413 ", "HTTP/1.1 431 "].iter().any(|a| text.starts_with(a)),
            "{text:?}"
        );
    }
}

#[test]
fn leading_zeros_and_upper_case_in_a_size_are_right() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: Chunked\r\n\r\n");
    client.send("0000000000000003\r\nabc\r\nA\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n");
    assert_eq!(client.answer("POST").text(), "abc01234567890123456789");
}
