//! USR2: a new binary takes over while the old one goes on, with WINCH, HUP and QUIT as in nginx's
//! procedure.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::Signal;
use sheen_tests::client::Client;
use sheen_tests::sheen::{NAME, Setup, Sheen, Stranger};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use sheen_tests::websocket::{echo_app, echoes, open};
use tempfile::TempDir;

/// A sheen with a pid file, in front of `app` and, below `/websocket/`, of `echo`.
struct Scene {
    sheen: Sheen,
    pid_file: PathBuf,
    _dir: TempDir,
}

fn scene(app: &Upstream, echo: &Upstream, top: &str) -> Scene {
    let dir = TempDir::new().unwrap();
    let pid_file = dir.path().join("run.pid");
    let locations = format!(
        "[[site.location]]\nprefix = \"/\"\nto = {:?}\n\
         [[site.location]]\nprefix = \"/websocket/\"\nto = {:?}",
        app.address(),
        echo.address()
    );
    let mut setup = Setup::locations(locations)
        .top(&format!("pid = {pid_file:?}"))
        .top(top)
        .timeouts("drain = \"15s\"");
    setup.workers = 2;
    Scene { sheen: setup.start(), pid_file, _dir: dir }
}

impl Scene {
    fn old_pid_file(&self) -> PathBuf {
        self.pid_file.with_extension("pid.oldbin")
    }

    /// Sends USR2 and waits until the successor is ready.
    fn upgrade(&self) -> Stranger {
        let ready = self.sheen.log().count("sheen: ready");
        self.sheen.signal(Signal::USR2);
        let heir = Stranger::of(&self.pid_file, Some(self.sheen.pid()));
        wait::until("a second process", || self.sheen.log().count("sheen: ready") > ready);
        let old = fs::read_to_string(self.old_pid_file()).unwrap();
        assert_eq!(old.trim(), self.sheen.pid().to_string());
        heir
    }

    /// Waits for `words` of the old process.
    fn says(&self, words: &str) {
        self.sheen.log().wait_for(words);
    }
}

/// Clients that come, ask once, and go, until they are stopped. Each of them must be answered.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(sheen: &Sheen) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (https, http) = (sheen.https(), sheen.http());
        let client = |number: usize| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    if number.is_multiple_of(2) {
                        let answer = Client::tls(https, NAME).get(NAME, "/");
                        assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
                    } else {
                        assert_eq!(Client::plain(http).get(NAME, "/").status(), 301);
                    }
                    AtomicUsize::fetch_add(&answered, 1, Ordering::Relaxed);
                }
            }
        };
        let clients = (0..4).map(|number| thread::spawn(client(number))).collect();
        Self { stop, answered, clients }
    }

    /// Waits until many more have been answered: the new state of things is under load too.
    fn goes_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        wait::until("fifty more answers", || {
            assert!(self.clients.iter().all(|client| !client.is_finished()), "a request failed");
            self.answered.load(Ordering::Relaxed) >= before + 50
        });
    }

    fn ends_well(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("no request failed"));
    }
}

#[test]
fn usr2_and_quit_lose_no_request_and_no_websocket() {
    let (app, echo) = (Upstream::ok("ok"), echo_app());
    let mut scene = scene(&app, &echo, "");
    let mut before = open(&scene.sheen);
    let load = Load::on(&scene.sheen);
    load.goes_on();
    let heir = scene.upgrade();
    load.goes_on();
    let mut during = open(&scene.sheen);
    echoes(&mut before, "both run");
    echoes(&mut during, "both run");
    scene.sheen.signal(Signal::QUIT);
    scene.says("shutting down");
    load.goes_on();
    // The session goes on in the old process.
    echoes(&mut before, "one drains");
    echoes(&mut during, "one drains");
    let mut after = open(&scene.sheen);
    drop(before);
    drop(during);
    assert!(scene.sheen.wait().success());
    load.goes_on();
    echoes(&mut after, "one runs");
    drop(after);
    load.ends_well();
    assert!(!scene.old_pid_file().exists());
    assert_eq!(fs::read_to_string(&scene.pid_file).unwrap().trim(), heir.pid().to_string());
    heir.signal(Signal::QUIT);
    heir.wait();
    assert!(!scene.pid_file.exists());
}

#[test]
fn winch_drains_and_hup_brings_the_old_one_back() {
    let (app, echo) = (Upstream::ok("ok"), echo_app());
    let scene = scene(&app, &echo, "");
    let mut socket = open(&scene.sheen);
    let load = Load::on(&scene.sheen);
    let heir = scene.upgrade();
    scene.sheen.signal(Signal::WINCH);
    scene.says("accepting no more");
    load.goes_on();
    echoes(&mut socket, "drains");
    // The new one is no good: back.
    scene.sheen.signal(Signal::HUP);
    scene.says("starting new workers");
    load.goes_on();
    heir.signal(Signal::QUIT);
    heir.wait();
    scene.says("new binary process");
    load.goes_on();
    echoes(&mut socket, "the one that has it since the beginning");
    load.ends_well();
    wait::until("the pid file", || {
        fs::read_to_string(&scene.pid_file)
            .is_ok_and(|text| text.trim() == scene.sheen.pid().to_string())
    });
    assert!(!scene.old_pid_file().exists());
}

#[test]
fn an_heir_that_dies_is_replaced_by_whom_it_replaced() {
    let (app, echo) = (Upstream::ok("ok"), echo_app());
    let scene = scene(&app, &echo, "");
    let heir = scene.upgrade();
    scene.sheen.signal(Signal::WINCH);
    scene.says("accepting no more");
    heir.signal(Signal::KILL);
    heir.wait();
    scene.says("starting new workers");
    assert_eq!(scene.sheen.client().get(NAME, "/").text(), "ok");
    assert_eq!(scene.sheen.hup(), sheen_tests::sheen::Reload::Done);
    let again = scene.upgrade();
    again.signal(Signal::QUIT);
    again.wait();
    wait::until("the pid file", || !scene.old_pid_file().exists());
}

#[test]
fn an_heir_that_cannot_start_changes_nothing() {
    let (app, echo) = (Upstream::ok("ok"), echo_app());
    let scene = scene(&app, &echo, "");
    let config = scene.sheen.dir.path().join("sheen.toml");
    let right = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("frobnicate = 1\n{right}")).unwrap();
    scene.sheen.signal(Signal::USR2);
    scene.says("unknown key `frobnicate`");
    scene.says("new binary process");
    wait::until("the pid file", || scene.pid_file.exists() && !scene.old_pid_file().exists());
    assert_eq!(scene.sheen.client().get(NAME, "/").text(), "ok");
}

#[test]
fn only_one_heir_at_a_time() {
    let (app, echo) = (Upstream::ok("ok"), echo_app());
    let scene = scene(&app, &echo, "");
    let heir = scene.upgrade();
    scene.sheen.signal(Signal::USR2);
    scene.says("not upgrading");
    heir.signal(Signal::USR2);
    wait::until("both refusals", || scene.sheen.log().count("not upgrading") == 2);
    heir.signal(Signal::TERM);
    heir.wait();
    scene.says("new binary process");
}

#[test]
fn winch_of_a_terminal_that_changes_its_size_means_nothing() {
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).start();
    sheen.signal(Signal::WINCH);
    // Signals are taken in their order.
    assert_eq!(sheen.hup(), sheen_tests::sheen::Reload::Done);
    assert!(!sheen.log().holds("accepting no more"));
    assert_eq!(sheen.client().get(NAME, "/").text(), "ok");
}

#[test]
fn sockets_in_the_file_system_and_fewer_workers_go_over_too() {
    let (app, echo) = (Upstream::ok("ok"), echo_app());
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.sock");
    let top = format!("listen_http = [\"127.0.0.1:0\", \"unix:{}\"]", path.display());
    let mut scene = scene(&app, &echo, &top);
    scene.sheen.setup.workers = 1;
    scene.sheen.setup.clone().write(scene.sheen.dir.path());
    let heir = scene.upgrade();
    scene.sheen.signal(Signal::QUIT);
    assert!(scene.sheen.wait().success());
    for _ in 0..32 {
        assert_eq!(Client::plain(scene.sheen.http()).get(NAME, "/").status(), 301);
        assert_eq!(Client::plain_unix(&path).get(NAME, "/").status(), 301);
    }
    heir.signal(Signal::QUIT);
    heir.wait();
    assert!(!path.exists());
}
