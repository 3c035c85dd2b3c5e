//! The proxies that are compared: found, started, asked whether they work, stopped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::configs;
use crate::machine::{self, Cores};
use crate::pki;
use crate::process::{Running, wait_until};

/// What a peer is; how it is started and configured follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sheen,
    Nginx,
    Haproxy,
    Caddy,
    H2o,
    Hitch,
    Floor,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] =
        [Self::Sheen, Self::Nginx, Self::Haproxy, Self::Caddy, Self::H2o, Self::Hitch, Self::Floor];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Sheen => "sheen",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
            Self::H2o => "h2o",
            Self::Hitch => "hitch",
            Self::Floor => "floor",
        }
    }

    /// What has to be said next to its numbers.
    pub(crate) fn remark(self) -> &'static str {
        match self {
            Self::Hitch => "TLS only",
            Self::Floor => "no TLS, no HTTP",
            Self::Sheen | Self::Nginx | Self::Haproxy | Self::Caddy | Self::H2o => "",
        }
    }
}

/// A program on disk.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    /// "nginx", or "nginx-root" for one out of `--root`.
    pub(crate) name: String,
    pub(crate) version: String,
    launch: Vec<String>,
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) found: Found,
    pub(crate) config: String,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    running: Running,
    dir: PathBuf,
    rsa: bool,
}

/// What peers are configured from.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) upstream: SocketAddr,
    pub(crate) cores: Cores,
    pub(crate) open_files: u64,
    pub(crate) rsa: bool,
}

/// Every program there is, sheen first; and the names of those that are missing.
pub(crate) fn find(sheen: &Path, root: Option<&Path>) -> (Vec<Found>, Vec<&'static str>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let own = std::env::current_exe().unwrap_or_default().display().to_string();
        let launch = match kind {
            Kind::Sheen => Some(vec![sheen.display().to_string()]),
            Kind::Floor => Some(vec![own, "floor".to_owned()]),
            _ => program(Path::new("/"), kind.word()).map(|path| vec![path]),
        };
        match launch {
            Some(launch) => found.push(describe(kind, kind.word().to_owned(), launch)),
            None => missing.push(kind.word()),
        }
        let there = root.and_then(|root| launch_in(root, kind));
        found.extend(there.map(|launch| describe(kind, format!("{}-root", kind.word()), launch)));
    }
    (found, missing)
}

pub(crate) fn other_sheen(path: &Path) -> Found {
    let path = path.canonicalize().unwrap_or(path.to_owned());
    describe(Kind::Sheen, "sheen-other".to_owned(), vec![path.display().to_string()])
}

/// A program of another Debian, run with the loader and the libraries it was built for.
fn launch_in(root: &Path, kind: Kind) -> Option<Vec<String>> {
    if matches!(kind, Kind::Sheen | Kind::Floor) {
        return None;
    }
    let path = program(root, kind.word())?;
    let loader = ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"];
    let loader = loader.iter().map(|name| root.join(name)).find(|path| path.exists())?;
    let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
    let libraries = ["usr/lib", "lib"].map(|dir| root.join(dir).join(&triple));
    let libraries = libraries.map(|dir| dir.display().to_string()).join(":");
    let loader = loader.display().to_string();
    Some(vec![loader, "--library-path".to_owned(), libraries, path])
}

fn program(root: &Path, word: &str) -> Option<String> {
    let dirs = ["usr/sbin", "usr/bin", "usr/local/sbin", "usr/local/bin"];
    let mut paths = dirs.iter().map(|dir| root.join(dir).join(word));
    paths.find(|path| path.exists()).map(|path| path.display().to_string())
}

fn describe(kind: Kind, name: String, launch: Vec<String>) -> Found {
    let flag: &[&str] = match kind {
        Kind::Caddy => &["version"],
        Kind::Hitch => &["--version"],
        Kind::Floor => return Found { kind, name, version: "-".to_owned(), launch },
        Kind::Sheen | Kind::Nginx | Kind::Haproxy | Kind::H2o => &["-v"],
    };
    let output = Command::new(&launch[0]).args(&launch[1..]).args(flag).output();
    let version = output.map_or_else(
        |error| error.to_string(),
        |output| {
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines().find(|line| !line.trim().is_empty()).unwrap_or("?").to_owned()
        },
    );
    Found { kind, name, version, launch }
}

impl Peer {
    /// Starts it on its core with ports of its own.
    ///
    /// Errors: it does not listen in time, with what it said.
    pub(crate) fn start(found: &Found, setting: &Setting<'_>) -> Result<Self, String> {
        let dir = setting.dir.join(&found.name);
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let files = pki::copy(setting.dir, &dir)?;
        let (https, http) = (free_address()?, free_address()?);
        let place = configs::Place { dir: &dir, files: &files, https, http, setting };
        let config = configs::write(found.kind, &place)?;
        let mut command = Command::new(&found.launch[0]);
        command.args(&found.launch[1..]).args(&config.arguments);
        command.envs(config.environment.iter().map(|(name, value)| (*name, value)));
        let log = dir.join("output.log");
        machine::pin(setting.cores.proxy).map_err(|error| format!("affinity: {error}"))?;
        let running = Running::start(command, &log);
        machine::pin(setting.cores.load).map_err(|error| format!("affinity: {error}"))?;
        let mut running = running?;
        let listens = || TcpStream::connect(https).is_ok();
        if !wait_until(START_MAX, || running.has_ended() || listens()) || running.has_ended() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("does not start: {}", said.trim()));
        }
        let (found, config, rsa) = (found.clone(), config.text, setting.rsa);
        Ok(Self { found, config, https, http, running, dir, rsa })
    }

    /// A new process in its place, on other ports.
    pub(crate) fn restart(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        *self = Self::start(&self.found.clone(), setting)?;
        Ok(())
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.found.kind != Kind::Floor
    }

    /// It crashed, or somebody ended it.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }

    pub(crate) fn cpu_ns(&self) -> u64 {
        self.running.cpu_ns()
    }

    pub(crate) fn pss(&self) -> u64 {
        self.running.pss()
    }

    /// Reads its configuration again.
    pub(crate) fn reload(&self) {
        self.running.signal(Signal::HUP);
    }

    /// True when a new connection is shown the certificate that is on disk.
    pub(crate) fn shows_its_certificate(&self) -> Result<bool, String> {
        let shown =
            pki::shown_by(self.https).map_err(|error| format!("new connection: {error}"))?;
        Ok(shown == pki::on_disk(&self.dir)?)
    }

    /// Puts a new certificate in the place of the old one. sheen sees that by itself; nginx has to be told.
    pub(crate) fn swap(&self) -> Result<(), String> {
        pki::write(&self.dir, self.rsa)?;
        if self.found.kind == Kind::Nginx {
            self.reload();
        }
        Ok(())
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    listener.map_err(|error| format!("no free port: {error}"))
}

const START_MAX: Duration = Duration::from_secs(10);
