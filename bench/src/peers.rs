//! The proxies that are compared: found, started, asked whether they work, stopped.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::address::Address;
use crate::machine::{self, Cores};
use crate::process::{Running, wait_until};
use crate::root::{self, Rooted};
use crate::{configs, pki};

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
    launch: Launch,
}

#[derive(Debug, Clone)]
enum Launch {
    /// A program and its first arguments.
    Here(Vec<String>),
    /// A program of another Debian.
    Rooted(Rooted),
}

/// A proxy that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) found: Found,
    pub(crate) config: String,
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) running: Running,
    pub(crate) dir: PathBuf,
    pub(crate) rsa: bool,
    pub(crate) environment: Vec<(&'static str, String)>,
    manner: Manner,
}

/// What peers are configured from.
#[derive(Debug, Clone)]
pub(crate) struct Setting<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) tcp: Address,
    pub(crate) unix: Address,
    pub(crate) cores: Cores,
    pub(crate) open_files: u64,
    pub(crate) rsa: bool,
}

/// What differs from case to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) upstream: Address,
    /// A worker on each.
    pub(crate) cores: Vec<usize>,
    pub(crate) language: Language,
}

/// What a peer's configuration is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Own,
    /// nginx.conf, for sheen too.
    NginxConf,
    /// nginx.conf with 50 locations, two maps and a rewrite.
    NginxConfWithRules,
}

impl Setting<'_> {
    /// One worker on the proxy's core, the upstream behind a port.
    pub(crate) fn usual(&self) -> Manner {
        let (upstream, cores) = (self.tcp.clone(), vec![self.cores.proxy]);
        Manner { upstream, cores, language: Language::Own }
    }
}

/// Every program there is, sheen first; and the names of those that are missing.
///
/// Errors: what is wrong with the folder.
pub(crate) fn find(
    sheen: &Path,
    root: Option<&Path>,
) -> Result<(Vec<Found>, Vec<&'static str>), String> {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let own = std::env::current_exe().unwrap_or_default().display().to_string();
        let here = match kind {
            Kind::Sheen => Some(vec![sheen.display().to_string()]),
            Kind::Floor => Some(vec![own, "floor".to_owned()]),
            _ => root::program(Path::new("/"), kind.word())
                .map(|path| vec![path.display().to_string()]),
        };
        let name = kind.word().to_owned();
        match here {
            Some(launch) => found.push(Found::new(kind, name, Launch::Here(launch))),
            None => missing.push(kind.word()),
        }
        if let Some(root) = root.filter(|_| !matches!(kind, Kind::Sheen | Kind::Floor)) {
            let there = Rooted::find(root, kind.word())?.map(Launch::Rooted);
            let name = format!("{}-root", kind.word());
            found.extend(there.map(|launch| Found::new(kind, name, launch)));
        }
    }
    Ok((found, missing))
}

pub(crate) fn other_sheen(path: &Path) -> Result<Found, String> {
    let path = path.canonicalize().map_err(|error| format!("{}: {error}", path.display()))?;
    let launch = Launch::Here(vec![path.display().to_string()]);
    Ok(Found::new(Kind::Sheen, OTHER.to_owned(), launch))
}

impl Found {
    fn new(kind: Kind, name: String, launch: Launch) -> Self {
        let mut found = Self { kind, name, version: "-".to_owned(), launch };
        if kind != Kind::Floor {
            found.version = found.ask_version().unwrap_or_else(|error| error);
        }
        found
    }

    /// The first line that it says about itself.
    fn ask_version(&self) -> Result<String, String> {
        let flag = match self.kind {
            Kind::Caddy => "version",
            Kind::Hitch => "--version",
            Kind::Sheen | Kind::Nginx | Kind::Haproxy | Kind::H2o | Kind::Floor => "-v",
        };
        let mut command = match &self.launch {
            Launch::Here(words) => command_of(words),
            Launch::Rooted(rooted) => rooted.command(),
        };
        let output = command.arg(flag).output().map_err(|error| error.to_string())?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        Ok(text.lines().find(|line| !line.trim().is_empty()).unwrap_or("?").to_owned())
    }

    /// What starts it; `dir` is the folder of its own that it may need for that.
    pub(crate) fn command(&self, dir: &Path) -> Result<Command, String> {
        match &self.launch {
            Launch::Here(words) => Ok(command_of(words)),
            Launch::Rooted(rooted) => {
                let mut command = Command::new(rooted.script(dir)?);
                command.envs(rooted.environment());
                Ok(command)
            }
        }
    }
}

impl Peer {
    /// Starts it on its cores with ports of its own.
    ///
    /// Errors: it does not listen in time, with what it said.
    pub(crate) fn start(
        found: &Found,
        setting: &Setting<'_>,
        manner: &Manner,
    ) -> Result<Self, String> {
        let dir = setting.dir.join(&found.name);
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        let files = pki::copy(setting.dir, &dir)?;
        let (https, http) = (free_address()?, free_address()?);
        let place = configs::Place {
            dir: &dir,
            files: &files,
            https,
            http,
            upstream: &manner.upstream,
            workers: manner.cores.len(),
            language: manner.language,
            open_files: setting.open_files,
        };
        let configured = configs::write(found.kind, &place)?;
        let mut command = found.command(&dir)?;
        command.args(&configured.arguments).envs(configured.environment.iter().cloned());
        let log = dir.join("output.log");
        machine::pin(&manner.cores).map_err(|error| format!("affinity: {error}"))?;
        let running = Running::start(command, &log);
        machine::pin(&[setting.cores.load]).map_err(|error| format!("affinity: {error}"))?;
        let mut running = running?;
        let listens = || TcpStream::connect(https).is_ok();
        if !wait_until(START_MAX, || running.has_ended() || listens()) || running.has_ended() {
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("does not start: {}", said.trim()));
        }
        Ok(Self {
            found: found.clone(),
            config: configured.text,
            https,
            http,
            running,
            dir,
            rsa: setting.rsa,
            environment: configured.environment,
            manner: manner.clone(),
        })
    }

    /// A new process in its place, on other ports.
    pub(crate) fn restart(&mut self, setting: &Setting<'_>, manner: &Manner) -> Result<(), String> {
        // Before the new one begins: it may leave by removing what the new one has made.
        self.running.end();
        *self = Self::start(&self.found.clone(), setting, manner)?;
        Ok(())
    }

    /// Restarts it if it runs in another manner, or not at all.
    pub(crate) fn suit(&mut self, setting: &Setting<'_>, manner: &Manner) -> Result<(), String> {
        if self.manner == *manner && !self.has_ended() {
            return Ok(());
        }
        self.restart(setting, manner)
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

    /// True when a new connection is shown the certificate that is on disk.
    pub(crate) fn shows_its_certificate(&self) -> Result<bool, String> {
        let shown =
            pki::shown_by(self.https).map_err(|error| format!("new connection: {error}"))?;
        Ok(shown == pki::on_disk(&self.dir)?)
    }
}

fn command_of(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    listener.map_err(|error| format!("no free port: {error}"))
}

/// The name of another build of sheen.
pub(crate) const OTHER: &str = "sheen-other";
const START_MAX: Duration = Duration::from_secs(10);
