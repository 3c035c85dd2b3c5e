//! Ends, and what else a connection does after the hand-over: uploads, WebSockets, clients and apps
//! that go away.

use std::fs;

use sheen_tests::client::End;
use sheen_tests::message;
use sheen_tests::sheen::NAME;
use sheen_tests::upstream::Upstream;
use sheen_tests::{pattern, wait, websocket};
use tungstenite::protocol::Role;

use crate::scene::{self, LARGE, SMALL};

#[test]
#[ignore = "runs in the machine"]
fn close_notify_is_understood_and_answered() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = scene::handed_over(&sheen);
    client.close_notify();
    client.closes();
}

#[test]
#[ignore = "runs in the machine"]
fn an_idle_connection_ends_with_close_notify() {
    let app = scene::app();
    let sheen = scene::setup(&app).timeouts("keep_alive = \"300ms\"").start();
    let mut client = scene::handed_over(&sheen);
    client.closes();
}

#[test]
#[ignore = "runs in the machine"]
fn a_truncated_upload_is_no_whole_one() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = scene::handed_over(&sheen);
    client.send(format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 100\r\n\r\nabc"));
    client.shutdown_write();
    sheen.expect_log("client closed connection without close_notify");
    let (bytes, _) = client.rest();
    assert!(!bytes.starts_with(b"HTTP/1.1 200"));
}

#[test]
#[ignore = "runs in the machine"]
fn garbage_gets_an_alert() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = scene::handed_over(&sheen);
    client.send_raw(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    sheen.expect_log("TLS with client failed");
    let (_, end) = client.rest();
    assert!(matches!(end, End::Tls(_) | End::Reset | End::Truncated), "{end:?}");
}

#[test]
#[ignore = "runs in the machine"]
fn uploads_work_after_the_hand_over() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = scene::handed_over(&sheen);
    for len in [10, 100_000, 2 << 20] {
        let body = pattern(0, len);
        client.send(format!("POST / HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: {len}\r\n\r\n"));
        client.send(&body);
        assert_eq!(client.answer("POST").body, body);
    }
}

#[test]
#[ignore = "runs in the machine"]
fn a_websocket_works_after_the_hand_over() {
    let app = Upstream::start(|conn| {
        while let Ok(Some(head)) = message::read_head(conn) {
            if let Some(key) = head.field("sec-websocket-key") {
                conn.send(websocket::switching(key));
                let mut socket = websocket::frames(&mut *conn, Role::Server);
                while let Ok(message) = socket.read() {
                    if !message.is_close() && socket.send(message).is_err() {
                        return;
                    }
                }
                return;
            }
            let len = scene::asked(&head);
            conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n"));
            conn.send(pattern(0, len));
        }
    });
    let sheen = scene::setup(&app).start();
    for suite in scene::suites() {
        let mut client = scene::client(&sheen, suite);
        scene::get(&mut client, LARGE);
        websocket::upgrade(&mut client);
        let mut socket = websocket::frames(client, Role::Client);
        for text in ["hello", &"long ".repeat(50_000), ""] {
            websocket::echoes(&mut socket, text);
        }
        if scene::rekeys() {
            websocket::echoes(&mut socket, "before new keys");
            if suite.0 == &rustls::version::TLS13 {
                socket.get_mut().refresh_keys();
            }
            websocket::echoes(&mut socket, "after new keys");
        }
        socket.close(None).unwrap();
        while socket.read().is_ok() {}
    }
}

#[test]
#[ignore = "runs in the machine"]
fn a_client_that_goes_away_leaves_nothing_behind() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut warm = scene::handed_over(&sheen);
    let before = descriptors(sheen.pid());
    for _ in 0..20 {
        let mut client = sheen.client();
        client.send(scene::request(32 << 20));
        let head = message::read_head(&mut client).unwrap().unwrap();
        assert_eq!(head.status(), 200);
        scene::body(&mut client, 0, 1 << 20);
        drop(client);
    }
    // The warm connection to the app may have gone with an answer that was cut.
    wait::until("all descriptors are back", || descriptors(sheen.pid()) <= before + 1);
    scene::get(&mut warm, LARGE);
}

#[test]
#[ignore = "runs in the machine"]
fn an_app_that_dies_in_the_middle_is_no_clean_end() {
    let app = Upstream::start(|conn| {
        let Ok(Some(_)) = conn.try_request() else { return };
        conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
        conn.send(pattern(0, LARGE - 1));
    });
    let sheen = scene::setup(&app).start();
    sheen.expect_log("upstream prematurely closed connection while reading upstream");
    let mut client = sheen.client();
    client.send(scene::request(LARGE));
    message::read_head(&mut client).unwrap().unwrap();
    scene::body(&mut client, 0, LARGE - 1);
    let (bytes, end) = client.rest();
    assert_eq!((bytes.len(), end), (0, End::Truncated));
}

#[test]
#[ignore = "runs in the machine"]
fn draining_waits_for_the_answer() {
    let app = scene::app();
    let mut sheen = scene::setup(&app).timeouts("drain = \"20s\"").start();
    let mut client = sheen.client();
    client.send(scene::request(16 << 20));
    message::read_head(&mut client).unwrap().unwrap();
    scene::body(&mut client, 0, SMALL);
    sheen.signal(rustix::process::Signal::QUIT);
    sheen.log().wait_for("shutting down");
    scene::body(&mut client, SMALL, (16 << 20) - SMALL);
    client.closes();
    assert!(sheen.wait().success());
}

fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}
