//! QUIT, TERM, INT, HUP and USR1: what ends, what goes on, and what is said about it.

use std::fs;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sheen_tests::client::{Client, End};
use sheen_tests::message::read_head;
use sheen_tests::sheen::{NAME, Reload, Setup, Site};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use sheen_tests::websocket::{echo_app, echoes, open, upgrade};

#[test]
fn quit_finishes_exchanges_closes_idle_connections_and_stops_listening() {
    for times in [1, 2] {
        let (app, go) = Upstream::patient();
        let mut sheen = Setup::to(&app).timeouts("drain = \"10s\"").start();
        let (https, http) = (sheen.https(), sheen.http());
        let mut idle = sheen.client();
        let mut idle_plain = sheen.plain();
        assert_eq!(idle_plain.get(NAME, "/").status(), 301);
        let mut busy = sheen.client();
        busy.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
        wait::until("the request", || app.open() == 1);
        // A second one changes nothing, as in nginx.
        (0..times).for_each(|_| sheen.signal(Signal::QUIT));
        idle.closes();
        idle_plain.closes();
        for address in [https, http] {
            wait::until("the end of listening", || TcpStream::connect(address).is_err());
        }
        go.store(true, Ordering::SeqCst);
        let answer = busy.answer("GET");
        assert_eq!(
            (answer.text().as_str(), answer.field("connection")),
            ("finished", Some("close"))
        );
        busy.closes();
        // A client that has not gone is waited for.
        drop((busy, idle, idle_plain));
        assert!(sheen.wait().success());
    }
}

#[test]
fn quit_with_nothing_to_do_ends_at_once() {
    let app = Upstream::ok("ok");
    let mut sheen = Setup::to(&app).timeouts("drain = \"30s\"").start();
    assert_eq!(sheen.client().get(NAME, "/").text(), "ok");
    let begun = Instant::now();
    sheen.signal(Signal::QUIT);
    assert_eq!(sheen.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn quit_lets_a_download_finish() {
    const LEN: u64 = 64 << 20;
    let app = Upstream::start(|conn| {
        conn.request();
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LEN}\r\n\r\n"));
        for offset in (0..LEN).step_by(1 << 20) {
            conn.send(sheen_tests::pattern(offset, 1 << 20));
        }
        conn.rest();
    });
    let mut sheen = Setup::to(&app).timeouts("drain = \"20s\"").start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    read_head(&mut client).unwrap().unwrap();
    sheen.signal(Signal::QUIT);
    let (body, end) = client.rest();
    assert_eq!((body.len() as u64, end), (LEN, End::Clean));
    assert!(sheen_tests::is_pattern(0, &body));
    assert!(sheen.wait().success());
}

#[test]
fn quit_closes_tunnels_at_the_deadline() {
    let app = echo_app();
    let mut sheen = Setup::to(&app).timeouts("drain = \"1s\"").start();
    let mut socket = open(&sheen);
    sheen.signal(Signal::QUIT);
    let begun = Instant::now();
    // The session goes on while there is time.
    echoes(&mut socket, "still here");
    assert!(socket.read().is_err());
    assert!(begun.elapsed() > Duration::from_millis(700), "{:?}", begun.elapsed());
    assert!(sheen.wait().success());
}

#[test]
fn an_exchange_that_never_ends_is_cut_at_the_deadline() {
    let (app, go) = Upstream::patient();
    let mut sheen = Setup::to(&app).timeouts("drain = \"500ms\"").start();
    let mut client = sheen.client();
    client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n");
    wait::until("the request", || app.open() == 1);
    sheen.signal(Signal::QUIT);
    let begun = Instant::now();
    client.rest();
    assert!(sheen.wait().success());
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    go.store(true, Ordering::SeqCst);
}

#[test]
fn term_and_int_end_at_once_and_say_so() {
    for signal in [Signal::TERM, Signal::INT] {
        let app = echo_app();
        let mut sheen = Setup::to(&app).timeouts("drain = \"30s\"").start();
        let mut client = sheen.client();
        upgrade(&mut client);
        let begun = Instant::now();
        sheen.signal(signal);
        assert!(sheen.wait().success());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        client.rest();
        sheen.log().wait_for("ending at once; 1 connections are cut");
    }
}

#[test]
fn term_cuts_a_drain_short() {
    let app = echo_app();
    let mut sheen = Setup::to(&app).timeouts("drain = \"30s\"").start();
    let mut socket = open(&sheen);
    sheen.signal(Signal::QUIT);
    sheen.log().wait_for("shutting down");
    echoes(&mut socket, "still here");
    let begun = Instant::now();
    sheen.signal(Signal::TERM);
    assert!(socket.read().is_err());
    assert!(sheen.wait().success());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn hup_changes_what_new_requests_meet_and_no_connection() {
    let first = Upstream::ok("first");
    let second = Upstream::ok("second");
    let mut sheen = Setup::to(&first).start();
    let (https, http) = (sheen.https(), sheen.http());
    let mut open = sheen.client();
    assert_eq!(open.get(NAME, "/").text(), "first");
    let address = second.address().to_owned();
    let reload = sheen.reload(|setup| {
        setup.sites[0].to = address;
        setup.sites[0].lines = "hsts = \"max-age=9\"".to_owned();
        setup.sites.push(Site::new(&["new.test"], first.address()));
    });
    assert_eq!(reload, Reload::Done);
    let answer = Client::tls(https, NAME).get(NAME, "/");
    assert_eq!(answer.text(), "second");
    assert_eq!(answer.field("strict-transport-security"), Some("max-age=9"));
    assert_eq!(Client::tls(https, "new.test").get("new.test", "/").text(), "first");
    assert_eq!(Client::plain(http).get(NAME, "/").status(), 301);
    // A connection keeps the snapshot it began with or takes the new one, but it lives.
    assert_eq!(open.get(NAME, "/").status(), 200);
}

#[test]
fn hup_with_a_wrong_configuration_changes_nothing_and_names_every_problem() {
    let app = Upstream::ok("ok");
    let mut sheen = Setup::to(&app).start();
    sheen.expect_log("configuration kept");
    let right = sheen.setup.clone();
    for (wrong, words) in [("keep_alive = \"soon\"", "soon"), ("no_such_key = 1", "no_such_key")] {
        let reload = sheen.reload(|setup| {
            *setup = right.clone();
            setup.sites[0].lines = "hsts = \"max-age=9\"".to_owned();
            setup.timeouts += &format!("\n{wrong}");
        });
        assert_eq!(reload, Reload::Kept, "{wrong}");
        assert!(sheen.log().holds(words), "{}", sheen.log().text());
        let answer = sheen.client().get(NAME, "/");
        let hsts = answer.field("strict-transport-security");
        assert_eq!((answer.status(), hsts), (200, None), "{wrong}");
    }
    assert_eq!(sheen.reload(|setup| *setup = right), Reload::Done);
}

#[test]
fn hup_with_a_broken_certificate_changes_nothing() {
    let app = Upstream::ok("ok");
    let other = Upstream::ok("other");
    let mut sheen = Setup::to(&app).start();
    sheen.expect_log("site0.crt");
    let before = sheen.client().certificate();
    fs::write(&sheen.setup.sites[0].files[0].0, "not a certificate").unwrap();
    let address = other.address().to_owned();
    let reload = sheen.reload(|setup| setup.sites[0].to = address);
    assert_eq!(reload, Reload::Kept);
    let mut client = sheen.client();
    assert_eq!(client.get(NAME, "/").text(), "ok");
    assert_eq!(client.certificate(), before);
}

#[test]
fn many_hups_in_a_row_are_survived_by_open_connections() {
    let app = echo_app();
    let sheen = Setup::to(&app).start();
    let mut socket = open(&sheen);
    for turn in 0..10 {
        assert_eq!(sheen.hup(), Reload::Done);
        echoes(&mut socket, &turn.to_string());
    }
}

#[test]
fn usr1_reopens_the_logs_after_a_rename() {
    let app = Upstream::ok("ok");
    let dir = tempfile::TempDir::new().unwrap();
    let (access, error) = (dir.path().join("access.log"), dir.path().join("error.log"));
    let sheen = Setup::to(&app)
        .log(&format!("access = {access:?}\nerror = {error:?}\nlevel = \"debug\""))
        .start();
    let holds = |path: &std::path::Path, words: &str| {
        fs::read_to_string(path).is_ok_and(|text| text.contains(words))
    };
    sheen.client().get(NAME, "/before");
    wait::until("the access line", || holds(&access, "GET /before"));
    let rotated = dir.path().join("access.log.1");
    fs::rename(&access, &rotated).unwrap();
    fs::rename(&error, dir.path().join("error.log.1")).unwrap();
    sheen.signal(Signal::USR1);
    wait::until("new files", || access.exists() && error.exists());
    sheen.client().get(NAME, "/after");
    wait::until("the access line", || holds(&access, "GET /after"));
    assert!(!holds(&rotated, "GET /after"));
}
