//! Keys that are renewed: before the hand-over, after it, too often.

use sheen_tests::client::End;

use crate::scene::{self, LARGE, SMALL};

#[test]
#[ignore = "runs in the machine"]
fn keys_renewed_before_the_hand_over_go_along() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = sheen.client();
    for _ in 0..3 {
        client.refresh_keys();
        scene::get(&mut client, SMALL);
    }
    // rustls answers this one together with the head of the answer, and only then may it leave.
    client.refresh_keys();
    scene::get(&mut client, LARGE);
    scene::get(&mut client, LARGE);
}

#[test]
#[ignore = "runs in the machine"]
fn keys_renewed_afterwards_are_followed_or_the_connection_ends_cleanly() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = scene::handed_over(&sheen);
    let before = scene::tls_stat("TlsRxRekeyOk");
    client.refresh_keys();
    if !scene::rekeys() {
        sheen.expect_log("the client has renewed its keys, and this kernel can't follow");
        client.closes();
        return;
    }
    for len in [SMALL, LARGE, SMALL] {
        scene::get(&mut client, len);
        client.refresh_keys();
    }
    scene::get(&mut client, LARGE);
    assert_eq!(scene::tls_stat("TlsRxRekeyOk"), before.map(|n| n + 4));
    assert_eq!(scene::tls_stat("TlsRxRekeyError"), Some(0));
    assert_eq!(scene::tls_stat("TlsTxRekeyError"), Some(0));
}

#[test]
#[ignore = "runs in the machine"]
fn a_storm_of_key_updates_ends_the_connection() {
    let app = scene::app();
    let sheen = scene::setup(&app).start();
    let mut client = scene::handed_over(&sheen);
    if !scene::rekeys() {
        sheen.allow_log("can't follow");
        return;
    }
    sheen.expect_log("TooManyKeyUpdateRequests");
    for _ in 0..8 {
        client.refresh_keys();
        scene::get(&mut client, SMALL);
    }
    client.refresh_keys();
    let (_, end) = client.rest();
    assert!(matches!(end, End::Tls(_) | End::Reset), "{end:?}");
}
