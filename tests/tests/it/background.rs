//! The process among others: background, pid file, and the words that reach it through that file.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use sheen_tests::client::Client;
use sheen_tests::sheen::{NAME, Setup, Stranger, run};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use tempfile::TempDir;

/// A folder with a configuration for the background: `run.pid`, `error.log` and `access.log`.
fn folder(app: &Upstream, top: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let mut setup = Setup::to(app)
        .top("daemon = true\npid = \"run.pid\"")
        .top(top)
        .log("access = \"access.log\"\nerror = \"error.log\"");
    setup.sites[0].lines = "http = \"proxy\"".to_owned();
    let config = setup.write(dir.path());
    (dir, config)
}

fn sheen(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = run(dir, arguments);
    assert_eq!(status.signal(), None);
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// The plain listener, as the error log tells it, which a thread of its own writes.
fn address(dir: &Path) -> SocketAddr {
    log_holds(dir, "listening on http://");
    let log = fs::read_to_string(dir.join("error.log")).unwrap();
    let found = log.rsplit("listening on http://").next().unwrap();
    found.lines().next().unwrap().parse().unwrap()
}

fn log_holds(dir: &Path, words: &str) {
    let file = dir.join("error.log");
    wait::until(words, || fs::read_to_string(&file).is_ok_and(|log| log.contains(words)));
}

#[test]
fn a_daemon_is_ready_when_its_starter_ends() {
    let app = Upstream::ok("ok");
    let (dir, config) = folder(&app, "");
    let (dir, config) = (dir.path(), config.to_str().unwrap());
    // From another folder: what is relative is so to the file.
    assert_eq!(sheen(Path::new("/"), &["-c", config]), (Some(0), String::new()));
    let pid_file = dir.join("run.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let process = Stranger::of(&pid_file, None);
    assert_eq!(text, format!("{}\n", process.pid()));
    let address = address(dir);
    assert_eq!(Client::plain(address).get(NAME, "/").text(), "ok");
    assert_eq!(process.proc("comm").trim(), "sheen", "scripts look for the name");
    let stat = process.proc("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!(fields[3], process.pid().to_string(), "it leads a session");
    assert_eq!(fields[4], "0", "which has no terminal");
    for number in 0..=2 {
        let target = fs::read_link(format!("/proc/{}/fd/{number}", process.pid())).unwrap();
        assert_eq!(target, Path::new("/dev/null"));
    }

    let started = (Some(0), "sheen: [notice] signal process started\n".to_owned());
    assert_eq!(sheen(dir, &["-c", config, "-s", "reload"]), started);
    log_holds(dir, "[notice] ");
    log_holds(dir, "configuration reloaded");
    fs::rename(dir.join("access.log"), dir.join("access.log.1")).unwrap();
    assert_eq!(sheen(dir, &["-c", config, "-s", "reopen"]), started);
    wait::until("a new log", || dir.join("access.log").exists());
    assert_eq!(sheen(dir, &["-c", config, "-s", "quit"]), started);
    process.wait();
    assert!(!pid_file.exists());
    log_holds(dir, "shutting down");
    let (code, said) = sheen(dir, &["-c", config, "-s", "stop"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("run.pid\" failed (2: No such file or directory)"), "{said}");
}

#[test]
fn a_daemon_that_cannot_listen_says_why_where_it_was_started() {
    let app = Upstream::ok("ok");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (dir, config) = folder(&app, &format!("listen_http = [\"{address}\"]"));
    let (code, said) = sheen(dir.path(), &["-c", config.to_str().unwrap()]);
    let words = format!("sheen: [emerg] bind() to {address} failed (98: Address already in use)");
    assert_eq!(code, Some(1));
    assert!(said.lines().any(|line| line == words), "{said}");
    assert!(!dir.path().join("run.pid").exists());
}

#[test]
fn a_pid_file_that_cannot_be_written_stops_the_start() {
    let app = Upstream::ok("ok");
    for daemon in ["on", "off"] {
        let dir = TempDir::new().unwrap();
        let config = Setup::to(&app).top("pid = \"no/run.pid\"").write(dir.path());
        let globals = format!("daemon {daemon};");
        let (code, said) = sheen(dir.path(), &["-c", config.to_str().unwrap(), "-g", &globals]);
        let shown = dir.path().display();
        let words = format!(
            "sheen: [emerg] open() \"{shown}/no/run.pid\" failed (2: No such file or directory)"
        );
        assert_eq!(code, Some(1));
        assert!(said.lines().any(|line| line == words), "{said}");
        let (code, said) = sheen(dir.path(), &["-t", "-c", config.to_str().unwrap()]);
        assert_eq!((code, said.lines().next()), (Some(1), Some(words.as_str())));
    }
}

#[test]
fn the_pid_file_is_there_while_the_process_is() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let pid_file = dir.path().join("run.pid");
    for (signal, before) in [(Signal::QUIT, None), (Signal::TERM, Some("4194305 a stale one\n"))] {
        if let Some(text) = before {
            fs::write(&pid_file, text).unwrap();
        }
        let mut sheen = Setup::to(&app).top(&format!("pid = {pid_file:?}")).start();
        assert_eq!(fs::read_to_string(&pid_file).unwrap(), format!("{}\n", sheen.pid()));
        sheen.signal(signal);
        assert!(sheen.wait().success());
        assert!(!pid_file.exists());
    }
}

#[test]
fn the_pid_file_moves_with_the_configuration() {
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    let [first, second] = ["a.pid", "b.pid"].map(|name| dir.path().join(name));
    let mut sheen = Setup::to(&app).top(&format!("pid = {first:?}")).start();
    sheen.reload(|setup| setup.top = format!("pid = {second:?}"));
    assert!(!first.exists());
    assert_eq!(fs::read_to_string(&second).unwrap(), format!("{}\n", sheen.pid()));
    // A reload that fails leaves no file behind.
    let third = dir.path().join("c.pid");
    sheen.expect_log("site0.crt");
    fs::write(&sheen.setup.sites[0].files[0].0, "not a certificate").unwrap();
    sheen.reload(|setup| setup.top = format!("pid = {third:?}"));
    assert!(second.exists() && !third.exists());
}

/// The life of a background process by the flags that init scripts use: exit codes, what is said,
/// and the pid file after each step.
fn life(program: &Path, dir: &Path) -> Vec<(Option<i32>, String, bool)> {
    let prefix = dir.to_str().unwrap();
    let mut steps = Vec::new();
    let mut process = None;
    for arguments in [
        &["-t", "-q", "-g", "daemon on; master_process on;"][..],
        &["-g", "daemon on; master_process on;"],
        &["-s", "reload"],
        &["-s", "reopen"],
        &["-s", "quit"],
    ] {
        let mut command = Command::new(program);
        command.args(["-p", prefix, "-c", "site.conf"]).args(arguments).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        // Where its error log is the terminal, nginx says what it does.
        let said = said.lines().filter(|line| !line.contains("[notice]")).collect();
        if arguments.len() == 2 && arguments[0] == "-g" {
            process = Some(Stranger::of(&dir.join("run.pid"), None));
        }
        if arguments == ["-s", "quit"] {
            process.as_ref().unwrap().wait();
            wait::until("the end of the pid file", || !dir.join("run.pid").exists());
        }
        let pid_file = fs::read_to_string(dir.join("run.pid")).is_ok_and(|text| !text.is_empty());
        steps.push((output.status.code(), said, pid_file));
    }
    steps
}

#[test]
fn the_life_of_a_daemon_is_that_of_nginx() {
    let app = Upstream::ok("ok");
    let (dir, config) = folder(&app, "");
    let text = fs::read_to_string(config).unwrap().replace("daemon = true\n", "");
    fs::write(dir.path().join("site.conf"), text).unwrap();
    let program = sheen_tests::sheen::command(dir.path());
    let ours = life(Path::new(program.get_program()), dir.path());
    let quiet = |pid_file| (Some(0), String::new(), pid_file);
    let expected = [quiet(false), quiet(true), quiet(true), quiet(true), quiet(false)];
    assert_eq!(ours, expected);
    if Command::new("nginx").arg("-v").output().is_err() {
        eprintln!("SKIPPED: not compared with nginx, which is not installed");
        return;
    }
    let dir = TempDir::new().unwrap();
    let shown = dir.path().display();
    let socket = format!("unix:{shown}/listen.sock");
    let text = format!(
        "pid {shown}/run.pid;\nerror_log {shown}/error.log;\nevents {{}}\nhttp {{ access_log off; \
         server {{ listen {socket}; }} }}\n"
    );
    fs::write(dir.path().join("site.conf"), text).unwrap();
    assert_eq!(life(Path::new("nginx"), dir.path()), expected);
}
