//! Where most of these tests play: Shiny, sheen in front of it, a browser that has opened the app
//! over https.

use std::sync::RwLockReadGuard;

use serde_json::{Value, json};
use sheen_tests::sheen::{NAME, Setup, Sheen};

use crate::authority;
use crate::browser::Browser;
use crate::certbot::Certbot;
use crate::parts::{self, Part};
use crate::shiny::Shiny;

/// A running app with a browser that shows it. The browser goes first, then sheen, then the app.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) page: Page,
    pub(crate) sheen: Sheen,
    pub(crate) app: Shiny,
    pub(crate) certbot: Certbot,
    _turn: RwLockReadGuard<'static, ()>,
}

/// The app in the browser.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) browser: Browser,
}

impl Scene {
    /// `None` when parts are missing and the environment allows it.
    pub(crate) fn open() -> Option<Self> {
        let turn = parts::beside_others(&[Part::Chromium, Part::Shiny])?;
        let app = Shiny::start();
        let certbot = Certbot::new(&authority::issue(&[NAME]));
        let mut setup = Setup::to_address(&app.address());
        setup.workers = 2;
        setup.sites[0].files = vec![certbot.files()];
        let sheen = setup.start();
        let browser = Browser::start(&authority::pin());
        browser.open(&format!("https://{NAME}:{}/", sheen.https().port()));
        browser.wait_for("window.Shiny?.shinyapp?.$socket?.readyState === 1");
        browser.wait_for("document.querySelector('#bins_shown').textContent === '30'");
        Some(Self { page: Page { browser }, sheen, app, certbot, _turn: turn })
    }
}

impl Page {
    /// Moves the slider by the mouse, which must be by more than the width of its handle (3 bins),
    /// and waits for the server's answer: the text and another plot.
    pub(crate) fn slide_to(&self, bins: i64) {
        const PLOT: &str = "document.querySelector('#plot img')?.src";
        self.browser.script(&format!("window.plotBefore = {PLOT}"));
        assert_ne!(
            self.browser.text("#bins_shown"),
            bins.to_string(),
            "the slider is there already"
        );
        // The middle of the handle goes from one half of its width within the line to the other.
        let right_of_middle = self.browser.script(&format!(
            "const width = (css) => document.querySelector(css).getBoundingClientRect().width;
             const range = width('.irs-line') - width('.irs-handle');
             return Math.round(range * (({bins} - 1) / 49 - 0.5));"
        ));
        self.browser.find(".irs-line").click_at(right_of_middle.as_i64().unwrap());
        self.browser.wait_for(&format!("Number(document.querySelector('#bins').value) === {bins}"));
        self.browser.wait_for(&format!(
            "document.querySelector('#bins_shown').textContent === '{bins}' && \
             {PLOT} !== window.plotBefore && document.querySelector('#plot img').naturalWidth > 0"
        ));
    }

    /// What stays the same as long as a session lives: its token, the page's load, the socket's
    /// address.
    pub(crate) fn session(&self) -> Session {
        Session(self.browser.script(
            "return [document.querySelector('#session').textContent, performance.timeOrigin, \
             Shiny.shinyapp.config.sessionId, Shiny.shinyapp.$socket.url]",
        ))
    }

    /// Asserts that the session is the one it was, that the page isn't grey and that the clock
    /// still ticks.
    pub(crate) fn lives_on(&self, session: &Session) {
        let seconds = self.browser.text("#seconds");
        self.browser.wait_for(&format!(
            "Number(document.querySelector('#seconds').textContent) > {seconds}"
        ));
        assert_eq!(&self.session(), session);
        assert!(!self.browser.has("#shiny-disconnected-overlay"), "the page is grey");
        assert_eq!(self.socket_state(), json!(1), "the socket is open");
    }

    pub(crate) fn socket_state(&self) -> Value {
        self.browser.script("return Shiny.shinyapp.$socket.readyState")
    }
}

/// See [`Page::session`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session(Value);
