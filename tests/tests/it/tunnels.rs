//! After the 101: half-close, idle timeout, ends of either side, and a thousand tunnels through a
//! renewal.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sheen_tests::client::End;
use sheen_tests::message;
use sheen_tests::pki::{self, KeyKind};
use sheen_tests::sheen::{NAME, Reload, Setup};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use sheen_tests::websocket::{accept, echo_app, echoes, open, upgrade};

#[test]
fn the_client_may_end_its_direction_first() {
    let app = Upstream::start(|conn| {
        accept(conn);
        assert_eq!(conn.rest(), b"last words");
        conn.send("still heard");
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    upgrade(&mut client);
    client.send("last words");
    client.close_notify();
    assert_eq!(message::read_exactly(&mut client, 11).unwrap(), b"still heard");
    client.closes();
}

#[test]
fn the_app_may_end_its_direction_first() {
    let app = Upstream::start(|conn| {
        accept(conn);
        conn.send("last words");
        conn.shutdown_write();
        assert_eq!(conn.rest(), b"still heard");
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    upgrade(&mut client);
    assert_eq!(client.rest(), (b"last words".to_vec(), End::Clean));
    client.send("still heard");
    client.close_notify();
    wait::until("the app's end", || app.open() == 0);
}

#[test]
fn a_client_that_vanishes_ends_the_apps_connection() {
    let app = Upstream::start(|conn| {
        accept(conn);
        conn.rest();
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    upgrade(&mut client);
    drop(client);
    wait::until("the end of the app's connection", || app.open() == 0);
}

#[test]
fn an_app_that_vanishes_ends_the_clients_connection() {
    let app = Upstream::start(|conn| {
        accept(conn);
        conn.reset_on_close();
    });
    let sheen = Setup::to(&app).start();
    sheen.expect_log("proxying upgraded connection");
    let mut client = sheen.client();
    upgrade(&mut client);
    // WebSocket has an end of its own, so any end of the connection is right.
    assert!(client.rest().0.is_empty());
}

#[test]
fn an_idle_tunnel_ends_at_its_deadline_and_a_busy_one_does_not() {
    let app = echo_app();
    let sheen = Setup::to(&app).timeouts("tunnel_idle = \"600ms\"").start();
    let mut idle = sheen.client();
    upgrade(&mut idle);
    let mut busy = open(&sheen);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        echoes(&mut busy, "still here");
        wait::pass(Duration::from_millis(100));
    }
    let (bytes, _) = idle.rest();
    assert!(bytes.is_empty());
    echoes(&mut busy, "still here");
}

#[test]
fn traffic_in_one_direction_keeps_a_tunnel_open() {
    let app = Upstream::start(|conn| {
        accept(conn);
        for _ in 0..15 {
            wait::pass(Duration::from_millis(100));
            conn.send(".");
        }
    });
    let sheen = Setup::to(&app).timeouts("tunnel_idle = \"600ms\"").start();
    let mut client = sheen.client();
    upgrade(&mut client);
    assert_eq!(client.rest(), (vec![b'.'; 15], End::Clean));
}

#[test]
fn both_directions_flow_at_full_speed_at_once() {
    const LEN: usize = 40 << 20;
    let app = Upstream::start(|conn| {
        accept(conn);
        let mut buffer = vec![0; 64 << 10];
        // Returns what it gets: sheen must read and write on both sides at the same time.
        while let Ok(len @ 1..) = std::io::Read::read(conn, &mut buffer) {
            conn.send(&buffer[..len]);
        }
    });
    let sheen = Setup::to(&app).start();
    let mut client = sheen.client();
    upgrade(&mut client);
    let mut received = Vec::new();
    for offset in (0..LEN).step_by(128 << 10) {
        client.send(sheen_tests::pattern(offset as u64, 128 << 10));
        received.extend(message::read_exactly(&mut client, 128 << 10).unwrap());
    }
    assert!(sheen_tests::is_pattern(0, &received));
}

#[test]
fn a_thousand_tunnels_outlive_a_renewal_and_a_reload() {
    const TUNNELS: usize = 1000;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let app = echo_app();
    let mut sheen = Setup { workers: 2, ..Setup::to(&app) }
        .limits("connections = 4000\nconnections_per_address = 4000")
        .start();
    let mut sockets: Vec<_> = (0..TUNNELS).map(|_| open(&sheen)).collect();
    for (number, socket) in sockets.iter_mut().enumerate() {
        echoes(socket, &number.to_string());
    }
    let renewed = pki::issue(&[NAME], KeyKind::Ecdsa);
    let (cert, key) = sheen.setup.sites[0].files[0].clone();
    fs::write(&key, &renewed.key_pem).unwrap();
    fs::write(&cert, &renewed.chain_pem).unwrap();
    wait::until("the new certificate", || sheen.client().certificate() == renewed.der);
    let reload = sheen.reload(|setup| {
        setup.timeouts += "\nkeep_alive = \"10s\"";
        let site = &mut setup.sites[0];
        site.lines += "\nhsts = \"max-age=5\"";
    });
    assert_eq!(reload, Reload::Done);
    for (number, socket) in sockets.iter_mut().enumerate() {
        echoes(socket, &format!("{number} after"));
    }
    assert_eq!((app.connections(), app.open()), (TUNNELS, TUNNELS));
}
