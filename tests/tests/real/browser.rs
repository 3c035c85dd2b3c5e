//! Headless Chromium, driven by chromedriver over WebDriver (<https://www.w3.org/TR/webdriver2/>):
//! JSON over HTTP.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use sheen_tests::sheen::NAME;
use sheen_tests::wait;
use tempfile::TempDir;
use ureq::Agent;

use crate::parts;

/// The name under which WebDriver hands out elements (section 12.1 of the specification).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long one command may take: a download of 100 MB in the page is one.
const COMMAND: Duration = Duration::from_secs(120);

/// A browser with one window and a profile of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    agent: Agent,
    /// `http://127.0.0.1:PORT/session/ID`.
    session: String,
    /// HOME and profile.
    _home: TempDir,
}

/// An element of the page.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    browser: &'a Browser,
    id: String,
}

impl Browser {
    /// Starts Chromium, which takes certificates for good exactly when a key of the chain has this
    /// `pin`, and which finds [`NAME`] on this machine.
    pub(crate) fn start(pin: &str) -> Self {
        let home = TempDir::new().unwrap();
        let (driver, port) = start_driver(home.path());
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(COMMAND))
            .build()
            .new_agent();
        let mut browser =
            Self { driver, agent, session: format!("http://127.0.0.1:{port}"), _home: home };
        let session = browser.post("/session", &capabilities(browser._home.path(), pin));
        browser.session += "/session/";
        browser.session += session["sessionId"].as_str().unwrap();
        let limits = json!({ "script": COMMAND.as_millis() as u64, "implicit": 0 });
        browser.post("/timeouts", &limits);
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// The first element that the selector finds; waits for it.
    pub(crate) fn find(&self, css: &str) -> Element<'_> {
        let mut found = None;
        wait::until(&format!("an element {css}"), || {
            let all = self.post("/elements", &json!({ "using": "css selector", "value": css }));
            found = all[0][ELEMENT].as_str().map(str::to_owned);
            found.is_some()
        });
        Element { browser: self, id: found.unwrap() }
    }

    pub(crate) fn has(&self, css: &str) -> bool {
        self.script(&format!("return document.querySelector({css:?}) !== null")) == json!(true)
    }

    /// The text of an element as the page holds it, shown or not; empty when there is no such
    /// element.
    pub(crate) fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({css:?})?.textContent ?? ''");
        self.script(&script).as_str().unwrap().to_owned()
    }

    /// Waits until a condition in JavaScript holds.
    pub(crate) fn wait_for(&self, expression: &str) {
        self.wait_within(wait::DEADLINE, expression);
    }

    /// Waits for at most `limit` until a condition in JavaScript holds.
    pub(crate) fn wait_within(&self, limit: Duration, expression: &str) {
        let script = format!("return Boolean({expression})");
        let held = wait::holds_within(limit, || self.script(&script) == json!(true));
        if !held {
            self.screenshot("failure.png");
            panic!("the page never came to {expression}; see failure.png in target/test-artefacts");
        }
    }

    /// Runs the body of a function in the page and returns what it returns.
    pub(crate) fn script(&self, body: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// Runs the body of an async function and returns what its promise comes to.
    pub(crate) fn promise(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {body} }})().then(done, (error) => done(`failed: ${{error}}`));"
        );
        self.post("/execute/async", &json!({ "script": script, "args": [] }))
    }

    /// Keeps a picture of the window among the artefacts.
    pub(crate) fn screenshot(&self, name: &str) {
        let coded = parts::artefact(&format!("{name}.base64"));
        fs::write(&coded, self.get("/screenshot").as_str().unwrap()).unwrap();
        let mut decode = Command::new("base64");
        decode.arg("--decode").arg(&coded).stdout(File::create(parts::artefact(name)).unwrap());
        assert!(decode.status().unwrap().success());
        fs::remove_file(coded).unwrap();
    }

    fn get(&self, path: &str) -> Value {
        let mut answer = self.agent.get(format!("{}{path}", self.session)).call().unwrap();
        value(path, answer.status().as_u16(), answer.body_mut().read_json())
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}{path}", self.session);
        let mut answer = self.agent.post(url).send_json(body).unwrap();
        value(path, answer.status().as_u16(), answer.body_mut().read_json())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; without its answer the group is ended below, Chromium's own included with
        // it.
        let _ = self.agent.delete(&self.session).call();
        let _ = kill_process_group(Pid::from_child(&self.driver), Signal::KILL);
        let _ = self.driver.wait();
    }
}

impl Element<'_> {
    /// Clicks so many pixels right of the middle.
    pub(crate) fn click_at(&self, right_of_middle: i64) {
        let origin = json!({ ELEMENT: self.id });
        let actions = json!([
            { "type": "pointerMove", "x": right_of_middle, "y": 0, "origin": origin, "duration": 0 },
            { "type": "pointerDown", "button": 0 },
            { "type": "pointerUp", "button": 0 },
        ]);
        let mouse = json!({ "type": "pointer", "id": "mouse", "actions": actions });
        self.browser.post("/actions", &json!({ "actions": [mouse] }));
    }

    /// Types, as a person would. For `<input type=file>`: the path of the file to choose.
    pub(crate) fn type_keys(&self, keys: &str) {
        self.command("value", &json!({ "text": keys }));
    }

    pub(crate) fn property(&self, name: &str) -> Value {
        self.browser.get(&format!("/element/{}/property/{name}", self.id))
    }

    fn command(&self, name: &str, body: &Value) {
        self.browser.post(&format!("/element/{}/{name}", self.id), body);
    }
}

/// A key of section 17.4.2 of the specification.
pub(crate) const ARROW_RIGHT: &str = "\u{e014}";

fn capabilities(home: &Path, pin: &str) -> Value {
    let arguments = json!([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-proxy-server",
        // Containers have a small one.
        "--disable-dev-shm-usage",
        "--window-size=1200,800",
        format!("--user-data-dir={}", home.join("profile").display()),
        format!(
            "--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP localhost 127.0.0.1, MAP * ^NOTFOUND"
        ),
        format!("--ignore-certificate-errors-spki-list={pin}"),
    ]);
    let always = json!({
        "browserName": "chrome",
        "acceptInsecureCerts": false,
        "goog:chromeOptions": { "args": arguments },
    });
    json!({ "capabilities": { "alwaysMatch": always } })
}

/// How often chromedriver is tried: it takes a free port of IPv4 and ends when another has the same
/// of IPv6.
const DRIVERS_TRIED: usize = 5;

/// Starts chromedriver on a free port, which it prints.
fn start_driver(home: &Path) -> (Child, u16) {
    let log = home.join("chromedriver.log");
    for _ in 0..DRIVERS_TRIED {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(driver.stdout.take().unwrap()).lines();
        if let Some(port) = stdout.find_map(|line| port_in(&line.unwrap())) {
            return (driver, port);
        }
        driver.wait().unwrap();
    }
    panic!("chromedriver does not start: {}", fs::read_to_string(log).unwrap());
}

fn port_in(line: &str) -> Option<u16> {
    line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
}

/// What a command returned. Errors of the browser fail the test.
fn value(path: &str, status: u16, body: Result<Value, ureq::Error>) -> Value {
    let mut body = body.unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(status, 200, "{path}: {}", body["value"]["message"]);
    body["value"].take()
}
