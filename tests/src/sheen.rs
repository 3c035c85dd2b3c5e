//! The process under test: its configuration, its addresses, its log, and how it must end.
//!
//! `SHEEN_BIN` names another binary than the workspace's; `SHEEN_TEST_RUNTIME` another rung than
//! `auto`, so that all scenarios can be run on each.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;
use crate::pki::{self, KeyKind};
use crate::upstream::Upstream;
use crate::wait;

/// The server name of most scenarios.
pub const NAME: &str = "app.test";

/// What sheen.toml says. The strings are lines of TOML for the table of that name.
#[derive(Debug, Clone)]
pub struct Setup {
    pub workers: usize,
    /// `runtime`, `trusted_proxies` and other keys of the top level.
    pub top: String,
    pub tls: String,
    pub log: String,
    pub limits: String,
    pub timeouts: String,
    pub sites: Vec<Site>,
}

/// One `[[site]]`.
#[derive(Debug, Clone)]
pub struct Site {
    pub names: Vec<&'static str>,
    /// Further keys of the site, before its locations.
    pub lines: String,
    /// Empty when `locations` say it.
    pub to: String,
    /// `[[site.location]]` tables.
    pub locations: String,
    /// Certificate and key files; empty: a pair is issued for the names at start.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// A running sheen. Dropping it ends it with QUIT and judges its exit code and its log.
#[derive(Debug)]
pub struct Sheen {
    child: Child,
    pub dir: TempDir,
    pub setup: Setup,
    stdout: Lines,
    stderr: Lines,
    faults_expected: RefCell<Vec<String>>,
    faults_allowed: RefCell<Vec<String>>,
}

/// Lines of an output stream, as far as they came.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

impl Setup {
    /// One site, [`NAME`], in front of `app`.
    pub fn to(app: &Upstream) -> Self {
        Self::to_address(app.address())
    }

    pub fn to_address(address: &str) -> Self {
        Self {
            workers: 1,
            top: String::new(),
            tls: String::new(),
            log: String::new(),
            limits: String::new(),
            timeouts: "drain = \"2s\"".to_owned(),
            sites: vec![Site::new(&[NAME], address)],
        }
    }

    /// One site whose `[[site.location]]` tables are these.
    pub fn locations(locations: String) -> Self {
        let mut setup = Self::to_address("");
        setup.sites[0].locations = locations;
        setup
    }

    /// The same with further keys for its first site.
    pub fn site(mut self, lines: &str) -> Self {
        let _ = writeln!(self.sites[0].lines, "{lines}");
        self
    }

    pub fn limits(mut self, lines: &str) -> Self {
        let _ = writeln!(self.limits, "{lines}");
        self
    }

    /// Adds deadlines. `drain` is 2 s unless set here.
    pub fn timeouts(mut self, lines: &str) -> Self {
        if lines.contains("drain") {
            self.timeouts.clear();
        }
        let _ = write!(self.timeouts, "\n{lines}");
        self
    }

    pub fn top(mut self, lines: &str) -> Self {
        let _ = writeln!(self.top, "{lines}");
        self
    }

    pub fn log(mut self, lines: &str) -> Self {
        let _ = writeln!(self.log, "{lines}");
        self
    }

    pub fn start(self) -> Sheen {
        Sheen::start(self)
    }

    /// Writes `sheen.toml`, and the certificates of sites without files, into `dir`.
    pub fn write(&mut self, dir: &Path) -> PathBuf {
        for (index, site) in self.sites.iter_mut().enumerate() {
            if site.files.is_empty() {
                let identity = pki::issue(&site.names, KeyKind::Ecdsa);
                site.files.push(identity.write(dir, &format!("site{index}")));
            }
        }
        let path = dir.join("sheen.toml");
        fs::write(&path, self.toml()).unwrap();
        path
    }

    fn toml(&self) -> String {
        let mut toml = format!("workers = {}\n", self.workers);
        for (key, default) in
            [("listen_https", "[\"127.0.0.1:0\"]"), ("listen_http", "[\"127.0.0.1:0\"]")]
        {
            if !self.top.contains(key) {
                let _ = writeln!(toml, "{key} = {default}");
            }
        }
        if let Ok(runtime) = std::env::var("SHEEN_TEST_RUNTIME")
            && !self.top.contains("runtime")
        {
            let _ = writeln!(toml, "runtime = {runtime:?}");
        }
        let _ = writeln!(toml, "{}\n[tls]\n{}\n[log]\n{}", self.top, self.tls, self.log);
        let _ = writeln!(toml, "[limits]\n{}\n[timeouts]\n{}", self.limits, self.timeouts);
        for site in &self.sites {
            let _ = writeln!(toml, "[[site]]\nnames = {:?}\ncertificates = [", site.names);
            for (cert, key) in &site.files {
                let _ = writeln!(toml, "    {{ cert = {cert:?}, key = {key:?} }},");
            }
            let _ = writeln!(toml, "]\n{}", site.lines);
            if !site.to.is_empty() {
                let _ = writeln!(toml, "to = {:?}", site.to);
            }
            let _ = writeln!(toml, "{}", site.locations);
        }
        toml
    }
}

impl Site {
    pub fn new(names: &[&'static str], to: &str) -> Self {
        Self {
            names: names.to_vec(),
            lines: String::new(),
            to: to.to_owned(),
            locations: String::new(),
            files: Vec::new(),
        }
    }
}

impl Sheen {
    fn start(mut setup: Setup) -> Self {
        let dir = TempDir::new().unwrap();
        let config = setup.write(dir.path());
        Self::spawn(setup, dir, &["-c", config.to_str().unwrap()])
    }

    /// Starts sheen with arguments of the caller's, in `dir`.
    pub fn spawn(setup: Setup, dir: TempDir, arguments: &[&str]) -> Self {
        let mut child = command(dir.path())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = Lines::collect(child.stdout.take().unwrap());
        let stderr = Lines::collect(child.stderr.take().unwrap());
        let (faults_expected, faults_allowed) = (RefCell::default(), RefCell::default());
        let mut sheen = Self { child, dir, setup, stdout, stderr, faults_expected, faults_allowed };
        let mut ended = None;
        wait::until("sheen: ready", || {
            ended = sheen.child.try_wait().unwrap();
            ended.is_some() || sheen.stderr.holds("sheen: ready")
        });
        if let Some(status) = ended {
            wait::holds_within(Duration::from_millis(200), || false);
            panic!("sheen ended at start, {status}:\n{}", sheen.stderr.text());
        }
        sheen
    }

    /// The first TLS listener.
    pub fn https(&self) -> SocketAddr {
        self.listener("sheen: listening on https://")
    }

    /// The first plain-HTTP listener.
    pub fn http(&self) -> SocketAddr {
        self.listener("sheen: listening on http://")
    }

    /// A TLS connection for [`NAME`].
    pub fn client(&self) -> Client {
        Client::tls(self.https(), NAME)
    }

    /// A connection to the plain-HTTP listener.
    pub fn plain(&self) -> Client {
        Client::plain(self.http())
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Writes the changed configuration and sends HUP; returns once sheen said what it did with it.
    pub fn reload(&mut self, change: impl FnOnce(&mut Setup)) -> Reload {
        change(&mut self.setup);
        self.setup.write(self.dir.path());
        self.hup()
    }

    /// Sends HUP; returns once sheen said what it did.
    pub fn hup(&self) -> Reload {
        const RELOADED: &str = "sheen: configuration reloaded";
        const KEPT: &str = "sheen: configuration kept";
        let before = (self.stderr.count(RELOADED), self.stderr.count(KEPT));
        self.signal(Signal::HUP);
        wait::until("the end of the reload", || {
            (self.stderr.count(RELOADED), self.stderr.count(KEPT)) != before
        });
        if self.stderr.count(RELOADED) > before.0 { Reload::Done } else { Reload::Kept }
    }

    /// Declares that the log will hold a fault with these words; dropping sheen asserts that it
    /// does.
    pub fn expect_log(&self, words: &str) {
        self.faults_expected.borrow_mut().push(words.to_owned());
    }

    /// Declares that the log may hold a fault with these words.
    pub fn allow_log(&self, words: &str) {
        self.faults_allowed.borrow_mut().push(words.to_owned());
    }

    /// What it printed on stderr: start-up lines and the error log.
    pub fn log(&self) -> &Lines {
        &self.stderr
    }

    /// What it printed on stdout: the access log.
    pub fn access(&self) -> &Lines {
        &self.stdout
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Largest resident size so far.
    pub fn rss_peak_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Waits for its end, which a signal must have asked for.
    pub fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        wait::until("sheen's end", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }

    fn listener(&self, prefix: &str) -> SocketAddr {
        let lines = self.stderr.lines();
        let address = lines.iter().find_map(|line| line.strip_prefix(prefix));
        address.unwrap_or_else(|| panic!("no {prefix} in {lines:?}")).trim().parse().unwrap()
    }

    /// The rules every scenario is held to (invariants 4 and 6): it lived, it ends well, no fault
    /// in the log.
    fn judge(&mut self) {
        let early = self.child.try_wait().unwrap();
        if early.is_none() {
            self.signal(Signal::QUIT);
        }
        let status = self.wait();
        assert!(status.success(), "sheen ended with {status}:\n{}", self.stderr.text());
        let expected = self.faults_expected.borrow();
        for words in expected.iter() {
            let found = wait::holds_within(Duration::from_secs(2), || self.stderr.holds(words));
            assert!(found, "the log says nothing of {words:?}:\n{}", self.stderr.text());
        }
        for line in self.stderr.lines() {
            // A body beyond its limit is an error for whoever set it, and none of sheen's.
            let is_error =
                line.contains("[error]") && !line.contains("client intended to send too");
            let fault = line.contains("panicked") || is_error;
            let allowed = self.faults_allowed.borrow();
            let declared = expected.iter().chain(allowed.iter()).any(|words| line.contains(words));
            assert!(!fault || declared, "unexpected fault in the log: {line}");
        }
    }
}

impl Drop for Sheen {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            eprintln!("--- sheen's stderr ---\n{}", self.stderr.text());
            eprintln!("--- sheen's stdout ---\n{}", self.stdout.text());
        } else {
            self.judge();
        }
    }
}

/// What sheen did with a configuration on HUP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    Done,
    Kept,
}

impl Lines {
    fn collect(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let sink = lines.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                sink.0.lock().unwrap().push(text);
                line.clear();
            }
        });
        lines
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    pub fn holds(&self, words: &str) -> bool {
        self.count(words) > 0
    }

    /// Lines with these words.
    pub fn count(&self, words: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }

    /// Waits for a line with these words.
    pub fn wait_for(&self, words: &str) -> String {
        let mut found = None;
        wait::until(&format!("a line with {words:?}"), || {
            found = self.lines().into_iter().find(|line| line.contains(words));
            found.is_some()
        });
        found.unwrap()
    }
}

/// Runs sheen to its end.
pub fn run(dir: &Path, arguments: &[&str]) -> Output {
    command(dir).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A process that is no child of ours: one in the background, or the successor of another. Dropping
/// it kills it.
#[derive(Debug)]
pub struct Stranger(Pid);

impl Stranger {
    /// Waits for a pid file and takes who it names, if that is not `other`.
    pub fn of(pid_file: &Path, other: Option<u32>) -> Self {
        let mut pid = None;
        wait::until("a pid file", || {
            let text = fs::read_to_string(pid_file).unwrap_or_default();
            let number = text.trim().parse::<i32>().ok().filter(|n| Some(*n as u32) != other);
            pid = number.and_then(Pid::from_raw);
            pid.is_some()
        });
        Self(pid.unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.as_raw_nonzero().get() as u32
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.0, signal).unwrap();
    }

    /// A file of the process below /proc.
    pub fn proc(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid())).unwrap()
    }

    /// Nobody may be there to take the news of its end: a zombie has ended too.
    pub fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    }

    pub fn wait(&self) {
        wait::until("the end of the process", || self.has_ended());
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill_process(self.0, Signal::KILL);
        }
    }
}

/// The program, for a command of the caller's own making.
pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(dir).env("HOME", dir).env("XDG_STATE_HOME", dir.join("state"));
    command.stdin(Stdio::null());
    command
}

/// `SHEEN_BIN`, else the workspace's binary, built once so that no test judges an old one.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("SHEEN_BIN") {
            return path.into();
        }
        let exe = std::env::current_exe().unwrap();
        let profile = exe.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
        let target = profile.parent().expect("target/PROFILE");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "-p", "sheen", "--bin", "sheen"]);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).env("CARGO_TARGET_DIR", target);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "sheen does not build");
        profile.join("sheen")
    })
}
