//! Bodies in both directions: every framing, trailers, answers without a body, 1.0 clients, early
//! ends and answers.

use sheen_tests::client::End;
use sheen_tests::message::{Ended, Framing, find};
use sheen_tests::sheen::{NAME, Setup};
use sheen_tests::upstream::{Upstream, ok};
use sheen_tests::wait;

/// What the client gets for a GET when the app answers `answer` and, if it says so, closes.
fn relayed(answer: &'static [u8], method: &str) -> sheen_tests::client::Answer {
    let app = Upstream::start(move |conn| {
        conn.request();
        conn.send(answer);
        if find(answer, b"lose").is_none() {
            conn.request();
        }
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(format!("{method} / HTTP/1.1\r\nHost: app.test\r\n\r\n"));
    client.answer(method)
}

#[test]
fn a_content_length_answer_keeps_its_length() {
    let answer = relayed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "GET");
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Length(5), "hello"));
}

#[test]
fn a_chunked_answer_stays_chunked() {
    let answer = relayed(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        "GET",
    );
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Chunked, "hello"));
}

#[test]
fn chunk_extensions_of_an_answer_are_removed() {
    let answer = relayed(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\";c\r\nhello\r\n0;d\r\n\r\n",
        "GET",
    );
    assert_eq!(answer.text(), "hello");
}

#[test]
fn an_answer_until_close_becomes_chunked() {
    let answer = relayed(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", "GET");
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Chunked, "hello"));
    assert_ne!(answer.field("connection"), Some("close"));
}

#[test]
fn an_http_1_0_answer_becomes_1_1() {
    let answer = relayed(b"HTTP/1.0 200 OK\r\nServer: close\r\n\r\nhello", "GET");
    assert_eq!((answer.framing, answer.text().as_str()), (Framing::Chunked, "hello"));
    assert_eq!(answer.head.line, "HTTP/1.1 200 OK");
}

#[test]
fn an_answer_in_single_bytes_comes_whole() {
    let app = Upstream::start(|conn| {
        while conn.request().is_some() {
            let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                a\r\n0123456789\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n";
            for byte in answer {
                conn.send([*byte]);
            }
        }
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    for _ in 0..2 {
        assert_eq!(client.get(NAME, "/").text(), "0123456789!");
    }
}

#[test]
fn head_204_and_304_have_no_body_and_keep_the_connection() {
    let app = Upstream::start(|conn| {
        conn.answer_all(|request| {
            let target = request.head.line.split(' ').nth(1).unwrap();
            let head = match target {
                "/204" => "204 No Content\r\nX: y",
                "/304" => "304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"",
                "/304-chunked" => "304 Not Modified\r\nTransfer-Encoding: chunked",
                "/head" => "200 OK\r\nContent-Length: 5",
                "/head-chunked" => "200 OK\r\nTransfer-Encoding: chunked",
                _ => "200 OK\r\nX: y",
            };
            format!("HTTP/1.1 {head}\r\n\r\n").into_bytes()
        });
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    let conversation = [
        ("GET", "/204", 204),
        ("GET", "/304", 304),
        ("GET", "/304-chunked", 304),
        ("HEAD", "/head", 200),
        ("HEAD", "/head-chunked", 200),
        ("HEAD", "/head-nothing", 200),
        ("GET", "/204", 204),
    ];
    for (method, target, status) in conversation {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: app.test\r\n\r\n"));
        let answer = client.answer(method);
        assert_eq!(answer.status(), status, "{target}");
        if target == "/head" {
            assert_eq!(answer.field("content-length"), Some("5"));
        }
        if status == 204 {
            assert_eq!(answer.field("transfer-encoding"), None);
        }
    }
}

#[test]
fn trailers_pass_in_both_directions_without_the_forbidden_ones() {
    let app = Upstream::start(|conn| {
        while let Some(request) = conn.request() {
            let names: Vec<_> = request.trailers.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(",").to_ascii_lowercase();
            conn.send(format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
                 {:x}\r\n{names}\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\
                 Connection: close\r\nSet-Cookie: a=b\r\n\r\n",
                names.len().max(1)
            ));
        }
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\nabc\r\n0\r\nX-Sum: 6\r\nContent-Length: 1\r\nHost: evil.test\r\nTransfer-Encoding: x\r\n\
         X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-RStudio-Request: x\r\n\
         Connection: close\r\nUpgrade: x\r\n\r\n",
    );
    let answer = client.answer("POST");
    let seen = answer.text();
    let trailers = answer.trailers;
    assert!(seen == "x-sum", "trailers the app got: {seen}");
    assert!(trailers.contains(&("X-Sum".to_owned(), "7".to_owned())), "{trailers:?}");
    for forbidden in ["content-length", "transfer-encoding", "connection", "set-cookie"] {
        let passed = trailers.iter().any(|(name, _)| name.eq_ignore_ascii_case(forbidden));
        // Set-Cookie in a trailer is harmless: clients ignore it (RFC 9110 section 6.5.1).
        assert!(!passed || forbidden == "set-cookie", "{trailers:?}");
    }
}

#[test]
fn credentials_in_a_trailer_do_not_reach_the_app() {
    // RFC 9110 section 6.5.1: an app that merges trailers into the head would take them for
    // checked.
    let app = Upstream::start(|conn| {
        while let Some(request) = conn.request() {
            conn.send(ok(&format!("{:?}", request.trailers)));
        }
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\nAuthorization: Basic eA==\r\nX-Sum: 6\r\nCookie: a=b\r\n\r\n",
    );
    assert_eq!(client.answer("POST").text(), "[(\"X-Sum\", \"6\")]");
}

#[test]
fn an_http_1_0_client_gets_a_chunked_answer_without_chunks() {
    let app = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n",
    );
    let sheen = Setup::to(&app).start();
    for extra in ["", "Connection: keep-alive\r\n"] {
        let mut client = sheen.client();
        client.send(format!("GET / HTTP/1.0\r\nHost: app.test\r\n{extra}\r\n"));
        let answer = client.answer("GET");
        assert_eq!((answer.framing, answer.text().as_str()), (Framing::UntilClose, "hello"));
        assert_eq!(answer.field("transfer-encoding"), None);
        client.closes();
    }
}

#[test]
fn a_request_body_arrives_with_either_framing() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let body = sheen_tests::pattern(0, 300_000);
    let mut client = sheen.client();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    assert!(client.answer("POST").body == body);

    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(7001) {
        client.send([format!("{:x};x=y\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    }
    client.send("0\r\n\r\n");
    assert!(client.answer("POST").body == body);
}

#[test]
fn a_get_with_a_body_passes_it() {
    let app = Upstream::echo();
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.answer("GET").text(), "abc");
    assert_eq!(client.get(NAME, "/").text(), "");
}

/// What the client gets when the app breaks off after `part`.
fn broken_off(part: &'static str, reset: bool) -> (Vec<u8>, End) {
    let app = Upstream::start(move |conn| {
        conn.request();
        conn.send(part);
        wait::pass(std::time::Duration::from_millis(100));
        if reset {
            conn.reset_on_close();
        }
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("while reading upstream");
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert!(client.try_answer("GET").is_err(), "the answer is not whole");
    client.rest()
}

#[test]
fn a_body_cut_off_by_the_app_never_ends_cleanly() {
    const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    const IN_CHUNK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhello";
    for part in [LENGTH, CHUNKED, IN_CHUNK] {
        for reset in [false, true] {
            let (_, end) = broken_off(part, reset);
            assert!(matches!(end, End::Truncated | End::Reset), "{part:?}: {end:?}");
        }
    }
}

#[test]
fn a_reset_of_an_answer_until_close_never_ends_cleanly() {
    let (_, end) = broken_off("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", true);
    assert!(matches!(end, End::Truncated | End::Reset), "{end:?}");
}

#[test]
fn wrong_chunks_of_an_answer_never_end_cleanly() {
    for chunks in
        ["zz\r\n", "5\r\nhelloo\r\n", "5\nhello\n0\n\n", "\r\n\r\n", "fffffffffffffffff\r\n"]
    {
        let app = Upstream::start(move |conn| {
            conn.request();
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            conn.send(chunks);
            conn.rest();
        });
        let sheen = Setup::to(&app).start();
        sheen.expect_log("while reading upstream");
        let mut client = sheen.client();
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
        match client.try_answer("GET") {
            Ok(answer) => assert_eq!(answer.status(), 502, "{chunks:?}"),
            Err(Ended(_)) => {
                let (_, end) = client.rest();
                assert!(matches!(end, End::Truncated | End::Reset), "{chunks:?}: {end:?}");
            }
        }
    }
}

#[test]
fn an_early_answer_reaches_a_client_that_still_uploads() {
    let app = Upstream::start(|conn| {
        conn.head();
        conn.send(
            "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
        );
        conn.shutdown_write();
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 100000000\r\n\r\nfirst");
    let answer = client.answer("POST");
    assert_eq!((answer.status(), answer.text().as_str()), (413, "big"));
}

#[test]
fn an_early_answer_reaches_a_client_that_reads_only_at_the_end() {
    let app = Upstream::start(|conn| {
        conn.head();
        conn.send(
            "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig",
        );
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    client.send("POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 20000000\r\n\r\n");
    let chunk = sheen_tests::pattern(0, 1 << 20);
    for _ in 0..20 {
        // Sheen may stop reading before the end; the answer must come all the same.
        if client.try_send(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(client.answer("POST").status(), 413);
}

#[test]
fn a_client_that_leaves_within_its_upload_never_completes_it() {
    let app = Upstream::start(|conn| {
        let ended = conn.try_request();
        assert!(ended.is_err(), "not a whole request: {ended:?}");
    });
    let sheen = Setup::to(&app).start();
    for head in ["Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"]
    {
        for politely in [true, false] {
            let before = app.connections();
            let mut client = sheen.client();
            client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{head}"));
            wait::until("the app's connection", || app.connections() > before);
            if politely {
                client.close_notify();
            }
            drop(client);
            wait::until("the end of the app's connection", || app.open() == 0);
        }
    }
}

#[test]
fn an_upload_limit_is_kept_for_both_framings() {
    let app = Upstream::start(|conn| {
        while let Ok(Some(request)) = conn.try_request() {
            conn.send(ok(&request.body.len().to_string()));
        }
    });
    let sheen = Setup::to(&app).limits("request_body_bytes = 1000").start();
    let post = |framing: &str, body: String| {
        let mut client = sheen.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n"));
        // The refusal may come while we still send.
        let _ = client.try_send(body);
        client.answer("POST")
    };
    assert_eq!(post("Content-Length: 1000", "x".repeat(1000)).text(), "1000");
    assert_eq!(post("Content-Length: 1001", "x".repeat(1001)).status(), 413);
    assert_eq!(post("Content-Length: 1000000000000", String::new()).status(), 413);
    let body = |count: usize| {
        let chunk = format!("64\r\n{}\r\n", "x".repeat(100));
        chunk.repeat(count) + "0\r\n\r\n"
    };
    assert_eq!(post("Transfer-Encoding: chunked", body(10)).text(), "1000");
    let answer = post("Transfer-Encoding: chunked", body(11));
    assert_eq!((answer.status(), answer.field("connection")), (413, Some("close")));
}
