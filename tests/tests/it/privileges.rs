//! `user`: who the process is after its start, and what it can still do then. Only root can ask for
//! it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

use rustix::process::Signal;
use sheen_tests::client::Client;
use sheen_tests::pki::{self, KeyKind};
use sheen_tests::sheen::{NAME, Reload, Setup, Sheen, command};
use sheen_tests::upstream::Upstream;
use sheen_tests::wait;
use tempfile::TempDir;

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: only root can become somebody else");
    }
    root
}

/// Name, user and effective capabilities of every thread.
fn threads(sheen: &Sheen) -> Vec<(String, u32, u64)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", sheen.pid())).unwrap();
    tasks
        .map(|task| {
            let text = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let field = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                line.split_whitespace().next().unwrap().to_owned()
            };
            let capabilities = u64::from_str_radix(&field("CapEff:"), 16).unwrap();
            (field("Name:"), field("Uid:").parse().unwrap(), capabilities)
        })
        .collect()
}

#[test]
fn all_threads_become_the_user_and_workers_keep_nothing() {
    if !is_root() {
        return;
    }
    let app = Upstream::ok("ok");
    let mut setup = Setup::to(&app).top("user = \"nobody\"\ngroup = \"nogroup\"");
    setup.workers = 2;
    let sheen = setup.start();
    assert_eq!(sheen.client().get(NAME, "/").text(), "ok");
    const READ_AND_BIND: u64 = 1 << 2 | 1 << 10;
    let threads = threads(&sheen);
    assert!(threads.len() >= 5, "{threads:?}");
    for (name, user, capabilities) in threads {
        assert_eq!(user, NOBODY, "{name}");
        // The main thread and the watch of the certificates; never the data plane and the log.
        let keeps_nothing = name.starts_with("sheen-");
        let allowed = if keeps_nothing { 0 } else { READ_AND_BIND };
        assert_eq!(capabilities & !allowed, 0, "{name}");
    }
}

#[test]
fn a_renewed_key_of_roots_is_read() {
    if !is_root() {
        return;
    }
    let app = Upstream::ok("ok");
    let sheen = Setup::to(&app).top("user = \"nobody\"").start();
    let before = sheen.client().certificate();
    let (cert, key) = sheen.setup.sites[0].files[0].clone();
    pki::issue(&[NAME], KeyKind::Ecdsa).write_to(&cert, &key);
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o077, 0, "only root may read it");
    wait::until("the new certificate", || sheen.client().certificate() != before);
    assert_eq!(sheen.hup(), Reload::Done);
}

#[test]
fn a_low_port_is_bound_at_a_reload() {
    if !is_root() {
        return;
    }
    let app = Upstream::ok("ok");
    let mut sheen = Setup::to(&app).top("user = \"nobody\"").start();
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (600..1024).find(free).expect("a free low port");
    let reload = sheen.reload(|setup| {
        setup.top = format!("user = \"nobody\"\nlisten_http = [\"127.0.0.1:{port}\"]");
    });
    assert_eq!(reload, Reload::Done);
    let address = ([127, 0, 0, 1], port).into();
    assert_eq!(Client::plain(address).get(NAME, "/").status(), 301);
}

#[test]
fn logs_and_the_pid_file_in_a_folder_of_roots_work() {
    if !is_root() {
        return;
    }
    let app = Upstream::ok("ok");
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let (access, pid_file) = (dir.path().join("access.log"), dir.path().join("run.pid"));
    let mut sheen = Setup::to(&app)
        .top(&format!("user = \"nobody\"\npid = {pid_file:?}"))
        .log(&format!("access = {access:?}"))
        .start();
    assert_eq!(fs::metadata(&access).unwrap().uid(), NOBODY);
    fs::rename(&access, dir.path().join("access.log.1")).unwrap();
    sheen.signal(Signal::USR1);
    wait::until("a new log", || access.exists());
    assert_eq!(fs::metadata(&access).unwrap().uid(), NOBODY);
    sheen.client().get(NAME, "/after");
    let holds = || fs::read_to_string(&access).unwrap().contains("GET /after");
    wait::until("the access line", holds);
    // Its user could name another process in a file of its own.
    assert_eq!(fs::metadata(&pid_file).unwrap().uid(), 0);
    sheen.signal(Signal::QUIT);
    assert!(sheen.wait().success());
    assert!(!pid_file.exists());
}

#[test]
fn without_root_the_user_is_ignored_with_a_warning() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let text = "user = \"no-such-user\"\nlisten_https = []\nlisten_http = [\"127.0.0.1:0\"]\n\
                [[site]]\nto = \":1\"\nhttp = \"proxy\"\n";
    fs::write(dir.path().join("sheen.toml"), text).unwrap();
    // The program may lie where only root can read.
    let program = dir.path().join("sheen");
    fs::copy(command(dir.path()).get_program(), &program).unwrap();
    let mut command = std::process::Command::new(&program);
    if is_root() {
        command.uid(NOBODY);
    }
    let output = command.args(["-t", "-c", "sheen.toml"]).current_dir(dir.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let words = "[warn] the \"user\" directive makes sense only if the master process runs with \
                 super-user privileges, ignored";
    assert!(said.contains(words), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
}
