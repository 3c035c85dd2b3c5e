//! The demo in a real browser: what someone sees who tries sheen for the first time.

use std::time::Duration;

use rustix::process::Signal;
use sheen_tests::client::{Client, Offer};
use sheen_tests::sheen::{Setup, Sheen};
use tempfile::TempDir;

use crate::authority;
use crate::browser::{ARROW_RIGHT, Browser};
use crate::parts::{self, Part};

/// The demo's WebSockets are closed after a drain of 1 s.
const DRAIN: Duration = Duration::from_secs(10);

const BARS: &str = "document.querySelectorAll('#plot rect').length";

#[test]
fn the_demo_draws_what_the_slider_says_and_greys_out_when_ended() {
    let Some(_turn) = parts::beside_others(&[Part::Chromium]) else { return };
    let ports = ["demo", "--listen-https", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"];
    let mut sheen = Sheen::spawn(Setup::to_address(""), TempDir::new().unwrap(), &ports);
    let trusting = Offer { trusting: true, ..Offer::default() }.config();
    let leaf = Client::tls_with(sheen.https(), "localhost", &trusting).unwrap().certificate();
    let browser = Browser::start(&authority::pin_of(&leaf));

    // By plain HTTP, as someone types it: the redirect leads to https.
    browser.open(&format!("http://localhost:{}/", sheen.http().port()));
    browser.wait_for("document.querySelector('#state')?.textContent === 'connected'");
    browser.wait_for(&format!("location.protocol === 'https:' && {BARS} === 30"));
    assert_eq!(browser.text("#scheme"), "https");
    let before = browser.script("return document.querySelector('#plot').innerHTML");
    browser.find("#bins").type_keys(&ARROW_RIGHT.repeat(5));
    browser.wait_for(&format!("{BARS} === 35"));
    assert_ne!(browser.script("return document.querySelector('#plot').innerHTML"), before);
    browser.screenshot("demo.png");

    sheen.signal(Signal::TERM);
    browser.wait_within(DRAIN, "document.querySelector('#grey').checkVisibility()");
    assert_eq!(browser.text("#state"), "disconnected");
    browser.screenshot("demo-ended.png");
    drop(browser);
    assert!(sheen.wait().success());
}
