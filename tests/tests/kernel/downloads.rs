//! Bodies: every version and cipher, sizes, keep-alive, pipelining, slow readers, many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use sheen_tests::client::{Client, End};
use sheen_tests::message;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::Upstream;
use sheen_tests::{pattern, pki, wait};

use crate::counts;
use crate::scene::{self, LARGE, SMALL};

#[test]
#[ignore = "runs in the machine"]
fn every_cipher_goes_over_and_keeps_alive() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    for (index, suite) in scene::suites().into_iter().enumerate() {
        let (sent, received) = (scene::tls_stat("TlsTxSw"), scene::tls_stat("TlsRxSw"));
        let mut client = scene::client(&sheen, suite);
        for len in [SMALL, LARGE, SMALL, 0, LARGE + 1, (1 << 20) - 1] {
            scene::get(&mut client, len);
        }
        assert_eq!(scene::tls_stat("TlsTxSw"), sent.map(|n| n + 1), "{suite:?}");
        assert_eq!(scene::tls_stat("TlsRxSw"), received.map(|n| n + 1), "{suite:?}");
        let large = 2 * (index + 1);
        wait::until("two large answers in the log", || scene::by_kernel(&sheen) == large);
        client.close_notify();
        client.closes();
    }
    assert_eq!(app.connections(), 1, "the app's connection stays in order");
    assert_eq!(scene::tls_stat("TlsDecryptError"), Some(0));
}

#[test]
#[ignore = "runs in the machine"]
fn three_hundred_megabytes_come_byte_for_byte() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = sheen.client();
    client.set_timeout(Duration::from_secs(120));
    scene::get(&mut client, 300 << 20);
    scene::get(&mut client, SMALL);
    // Twenty megabytes are what it has at rest in this build.
    assert!(sheen.rss_peak_bytes() < 64 << 20, "{}", sheen.rss_peak_bytes());
}

#[test]
#[ignore = "runs in the machine"]
fn pipelined_requests_are_answered_in_order_around_the_hand_over() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    for suite in scene::suites() {
        let mut client = scene::client(&sheen, suite);
        let lens = [SMALL, LARGE, SMALL, LARGE, LARGE, 1];
        client.send(lens.map(scene::request).concat());
        lens.iter().for_each(|len| scene::answer(&mut client, *len));
        client.send_pieces(lens.map(scene::request).iter().map(String::as_bytes));
        lens.iter().for_each(|len| scene::answer(&mut client, *len));
    }
}

#[test]
#[ignore = "runs in the machine"]
fn a_record_that_has_come_in_part_is_not_lost() {
    let large = (1 << 20) + (64 << 10);
    // The app answers a large request when the client says so.
    let (asked, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (ask, gone) = (Arc::clone(&asked), Arc::clone(&go));
    let app = Upstream::start(move |conn| {
        conn.answer_all(|request| {
            let len = scene::asked(&request.head);
            if len > SMALL {
                let number = ask.fetch_add(1, Ordering::Relaxed) + 1;
                wait::until("the word of the client", || gone.load(Ordering::Relaxed) >= number);
            }
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
            [head.into_bytes(), pattern(0, len)].concat()
        });
    });
    let sheen = scene::setup(&app).start();
    let mut number = 0;
    let whole = {
        let mut client = sheen.client();
        client.records(scene::request(SMALL).as_bytes()).len()
    };
    for cut in 0..=whole {
        let mut client = sheen.client();
        let first = client.records(scene::request(large).as_bytes());
        let second = client.records(scene::request(SMALL).as_bytes());
        client.send_raw(&[&first, &second[..cut]].concat());
        number += 1;
        go.store(number, Ordering::Relaxed);
        scene::answer(&mut client, large);
        client.send_raw(&second[cut..]);
        scene::answer(&mut client, SMALL);
        // The same cut again, in bytes that wait in the kernel while it takes over.
        let first = client.records(scene::request(large).as_bytes());
        let second = client.records(scene::request(SMALL).as_bytes());
        client.send_raw(&first);
        number += 1;
        wait::until("the app is asked", || asked.load(Ordering::Relaxed) == number);
        client.send_raw(&second[..cut]);
        go.store(number, Ordering::Relaxed);
        scene::answer(&mut client, large);
        client.send_raw(&second[cut..]);
        scene::answer(&mut client, SMALL);
    }
    wait::until("both ways were taken", || {
        let copied = sheen.access().count("\"ktls\":false");
        copied > 2 * whole && scene::by_kernel(&sheen) > whole
    });
}

#[test]
#[ignore = "runs in the machine"]
fn a_slow_reader_gets_all_of_it_and_costs_no_memory() {
    const LEN: usize = 1_200_000;
    let app = Upstream::start(|conn| {
        let Ok(Some(request)) = conn.try_request() else { return };
        let len = scene::asked(&request.head);
        conn.send(format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {len}\r\n\r\n"));
        conn.send(pattern(0, len));
    });
    let sheen = scene::setup(&app).start();
    for suite in scene::suites().into_iter().skip(3).take(1) {
        let mut client = scene::client(&sheen, suite);
        client.small_receive_buffer();
        let request = format!("GET /{LEN} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n");
        client.send(request);
        let head = message::read_head(&mut client).unwrap().unwrap();
        assert_eq!(head.status(), 200);
        let mut at = 0;
        while at < LEN {
            let piece = (LEN - at).min(100_000);
            wait::pass(Duration::from_millis(5));
            scene::body(&mut client, at, piece);
            at += piece;
        }
        // Nothing that the kernel had kept back was cut off.
        client.closes();
    }
    assert!(sheen.rss_peak_bytes() < 64 << 20, "{}", sheen.rss_peak_bytes());
}

#[test]
#[ignore = "runs in the machine"]
fn a_reader_that_stops_meets_the_deadline() {
    let app = scene::app();
    let sheen = scene::setup(&app).timeouts("send = \"500ms\"").start();
    let mut client = sheen.client();
    client.send(scene::request(64 << 20));
    sheen.expect_log("client timed out (110: Connection timed out) while sending to client");
    sheen.log().wait_for("client timed out (110: Connection timed out) while sending to client");
    let (_, end) = client.rest();
    assert_ne!(end, End::Clean, "a cut answer must not look whole");
}

#[test]
#[ignore = "runs in the machine"]
fn a_slow_app_is_passed_on_as_it_comes() {
    const LEN: usize = (1 << 20) + 7770;
    let received = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&received);
    let app = Upstream::start(move |conn| {
        let Ok(Some(_)) = conn.try_request() else { return };
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"));
        let mut at = 0;
        while at < LEN {
            let piece = if at == 0 { 1 << 20 } else { 777 };
            conn.send(pattern(at as u64, piece));
            at += piece;
            wait::until("the client has all of it", || seen.load(Ordering::Relaxed) == at);
        }
    });
    let sheen = scene::setup(&app).start();
    let mut client = sheen.client();
    client.send(scene::request(LEN));
    message::read_head(&mut client).unwrap().unwrap();
    let mut at = 0;
    while at < LEN {
        let piece = if at == 0 { 1 << 20 } else { 777 };
        scene::body(&mut client, at, piece);
        at += piece;
        received.store(at, Ordering::Relaxed);
    }
    wait::until("the kernel moved it", || scene::by_kernel(&sheen) == 1);
}

#[test]
#[ignore = "runs in the machine"]
fn two_hundred_connections_at_a_time() {
    let app = scene::app();
    let sheen = scene::setup(&app).limits("connections_per_address = \"off\"").start();
    let mut clients: Vec<Client> = (0..200).map(|_| sheen.client()).collect();
    let len = 1_300_000;
    clients.iter_mut().for_each(|client| client.send(scene::request(len)));
    thread::scope(|scope| {
        for client in &mut clients {
            client.set_timeout(Duration::from_secs(60));
            scope.spawn(|| scene::answer(client, len));
        }
    });
    clients.iter_mut().for_each(|client| scene::get(client, SMALL));
    assert!(scene::by_kernel(&sheen) >= 100, "{}", scene::by_kernel(&sheen));
}

#[test]
#[ignore = "runs in the machine"]
fn a_certificate_may_be_swapped_meanwhile() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = sheen.client();
    let old = client.certificate();
    client.send(scene::request(16 << 20));
    let (cert, key) = sheen.setup.sites[0].files[0].clone();
    pki::issue(&[NAME], pki::KeyKind::Ecdsa).write_to(&cert, &key);
    sheen.signal(Signal::HUP);
    scene::answer(&mut client, 16 << 20);
    wait::until("the new certificate", || sheen.client().certificate() != old);
    scene::get(&mut client, LARGE);
}

#[test]
#[ignore = "runs in the machine"]
fn the_kernel_moves_a_body_with_few_system_calls() {
    let app = scene::app();
    let mut counted = Vec::new();
    for word in ["off", "on"] {
        let mut setup = scene::setup(&app);
        setup.tls = format!("ktls = \"{word}\"");
        let sheen = setup.start();
        let mut client = sheen.client();
        scene::get(&mut client, LARGE);
        let calls = counts::during(sheen.pid(), || scene::get(&mut client, 64 << 20));
        let cpu_ms = counts::user_ms(sheen.pid(), || scene::get(&mut client, 64 << 20));
        counts::say(&format!("ktls = {word}, 64 MiB: {calls:?}, {cpu_ms} ms of user time"));
        counted.push(calls);
    }
    let of = |kind: usize, name: &str| counted[kind].get(name).copied().unwrap_or(0);
    assert_eq!(of(0, "splice"), 0);
    assert!(of(0, "recvfrom") > 500 && of(0, "sendto") > 500, "{counted:?}");
    assert!(of(1, "recvfrom") + of(1, "recvmsg") + of(1, "sendto") < 20, "{counted:?}");
    assert!(of(1, "splice") > 0);
}
