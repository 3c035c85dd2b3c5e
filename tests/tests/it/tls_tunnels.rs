//! TLS in a tunnel, where rustls has given its keys away: every suite, new keys, bad records.

use rustls::CipherSuite;
use sheen_tests::client::{Client, End, Offer};
use sheen_tests::message::read_exactly;
use sheen_tests::pattern;
use sheen_tests::sheen::{NAME, Setup, Sheen};
use sheen_tests::upstream::Upstream;
use sheen_tests::websocket::{accept, upgrade};

/// An app that sends 100,000 bytes back, again and again.
fn echo() -> Upstream {
    Upstream::start(|conn| {
        accept(conn);
        while let Ok(bytes) = read_exactly(conn, PIECE) {
            conn.send(bytes);
        }
    })
}

fn tunnel(sheen: &Sheen, suite: CipherSuite) -> Client {
    let offer = Offer { suites: vec![suite], ..Offer::default() };
    let mut client = Client::tls_with(sheen.https(), NAME, &offer.config()).unwrap();
    upgrade(&mut client);
    client
}

#[test]
fn every_suite_carries_a_tunnel_and_new_keys() {
    let app = echo();
    let sheen = Setup::to(&app).start();
    for suite in [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ] {
        let mut client = tunnel(&sheen, suite);
        for round in 0..4 {
            let data = pattern(round, PIECE);
            client.send(&data);
            assert!(read_exactly(&mut client, PIECE).unwrap() == data, "{suite:?}, {round}");
            if format!("{suite:?}").starts_with("TLS13") {
                client.refresh_keys();
            }
        }
        client.close_notify();
        client.closes();
    }
}

#[test]
fn a_changed_record_in_a_tunnel_ends_it_with_an_alert() {
    let app = echo();
    let sheen = Setup::to(&app).start();
    for position in [0, 1, 3, 5, 20] {
        let mut client = tunnel(&sheen, CipherSuite::TLS13_AES_128_GCM_SHA256);
        let mut records = client.records(b"0123456789");
        records[position] ^= 0x60;
        client.send_raw(&records);
        let (bytes, end) = client.rest();
        assert!(bytes.is_empty());
        assert!(matches!(&end, End::Tls(_)), "{position}: {end:?}");
    }
}

#[test]
fn a_flood_of_key_updates_in_a_tunnel_is_survived() {
    let app = echo();
    let sheen = Setup::to(&app).start();
    let mut client = tunnel(&sheen, CipherSuite::TLS13_AES_128_GCM_SHA256);
    for _ in 0..2000 {
        client.session().refresh_traffic_keys().unwrap();
        let update = client.records(b"");
        if client.try_send_raw(&update).is_err() {
            break;
        }
    }
    let (_, end) = client.rest();
    assert_ne!(end, End::Clean);
    let mut other = tunnel(&sheen, CipherSuite::TLS13_AES_128_GCM_SHA256);
    other.send(pattern(1, PIECE));
    read_exactly(&mut other, PIECE).unwrap();
    assert!(sheen.rss_peak_bytes() < 64 << 20);
}

const PIECE: usize = 100_000;
