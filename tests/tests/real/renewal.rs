//! The certificate is renewed, or the configuration read again, while someone works in the app.

use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use sheen_tests::client::{Client, Offer};
use sheen_tests::sheen::{NAME, Reload, Sheen};
use sheen_tests::wait;

use crate::authority::{self, serial_words};
use crate::scene::Scene;

/// From the last link flipped to the first connection that sees the new certificate.
const SOON: Duration = Duration::from_secs(3);

/// What sheen says when a renewal stops half way; the last good pair stays in service.
const MISFIT: &str = "the certificate does not belong to the key";

fn shown(sheen: &Sheen) -> CertificateDer<'static> {
    let trusting = Offer { trusting: true, ..Offer::default() }.config();
    Client::tls_with(sheen.https(), NAME, &trusting).unwrap().certificate()
}

#[test]
fn a_renewal_by_certbot_is_not_noticed_in_the_app() {
    let Some(mut scene) = Scene::open() else { return };
    let session = scene.page.session();
    scene.page.slide_to(20);
    let first = authority::issue(&[NAME]);
    scene.certbot.renew(&first, |_| ());
    wait::until("the certificate that the test knows", || shown(&scene.sheen) == first.der);

    let second = authority::issue(&[NAME]);
    let files = scene.certbot.files();
    let mut bins = 20;
    let Scene { page, sheen, certbot, .. } = &mut scene;
    sheen.expect_log(MISFIT);
    let mut flipped = None;
    certbot.renew(&second, |kind| {
        if kind == "fullchain" {
            flipped = Some(Instant::now());
            return;
        }
        if kind == "privkey" {
            sheen.log().wait_for(MISFIT);
        }
        // Half flipped: the app goes on, and who comes anew gets a certificate with its own key.
        bins += 5;
        page.slide_to(bins);
        let shown = shown(sheen);
        assert!(shown == first.der || shown == second.der, "neither old nor new");
    });
    wait::until("the new certificate", || shown(&scene.sheen) == second.der);
    let took = flipped.expect("fullchain is the last").elapsed();
    assert!(took < SOON, "{took:?} after the last link");

    let (old, new) = (serial_words(&first), serial_words(&second));
    let line = scene.sheen.log().wait_for(&format!("(was serial {old})"));
    assert!(line.contains(NAME) && line.contains(&format!("serial {new} expires")), "{line}");
    assert!(line.contains(files.0.to_str().unwrap()), "{line}");
    scene.page.lives_on(&session);
    scene.page.slide_to(10);
    scene.page.lives_on(&session);
    scene.page.browser.screenshot("renewed.png");
}

#[test]
fn a_hup_is_not_noticed_in_the_app() {
    let Some(scene) = Scene::open() else { return };
    let session = scene.page.session();
    for bins in [40, 15, 35] {
        assert_eq!(scene.sheen.hup(), Reload::Done);
        scene.page.lives_on(&session);
        scene.page.slide_to(bins);
    }
    scene.page.lives_on(&session);
    scene.page.browser.screenshot("reloaded.png");
}
