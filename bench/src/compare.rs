//! Side by side: every peer in turn, round after round.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::address::Address;
use crate::cases::{CASES, Case, Shape};
use crate::machine::{self, Cores};
use crate::measure::{Measured, Metrics, measure};
use crate::peers::{self, Found, Kind, Peer, Setting};
use crate::process::Running;
use crate::spread::Results;
use crate::{pki, report, rules, scaling};

/// Compare sheen with nginx, haproxy, caddy, h2o and hitch on this machine
#[derive(Debug, clap::Args)]
pub(crate) struct CompareArgs {
    /// How often every case runs on every peer, in turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of one measurement
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Only cases with this word in their name; repeatable
    #[arg(long, value_name = "WORD")]
    case: Vec<String>,
    /// Only peers with this word in their name, beside sheen and nginx; `sheen` for no other at
    /// all; repeatable
    #[arg(long, value_name = "WORD")]
    peer: Vec<String>,
    /// Another program than the sheen of this folder, which is not built then
    #[arg(long, value_name = "FILE")]
    sheen: Option<PathBuf>,
    /// ecdsa (P-256) or rsa (2048)
    #[arg(long, default_value = "ecdsa", value_parser = ["ecdsa", "rsa"])]
    cert: String,
    /// A folder with another Debian (made by debootstrap), whose peers run beside those of this one
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Another build of sheen to run beside this one, as `sheen-other`: before and after a change.
    /// Every process is a new one for every round
    #[arg(long, value_name = "FILE")]
    other: Option<PathBuf>,
    /// Where report.md, results.json and chart.svg go
    #[arg(long, value_name = "DIR", default_value = "target/compare")]
    out: PathBuf,
    /// Idle WebSockets; memory is taken at half of them and at all
    #[arg(long, default_value_t = 5000)]
    idle: usize,
    /// Put the table into bench/README.md
    #[arg(long)]
    write_readme: bool,
}

/// All rounds of one case on one peer.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rounds {
    pub(crate) samples: Vec<Metrics>,
    pub(crate) version: Option<&'static str>,
    pub(crate) complaints: Vec<String>,
}

/// Everything that a report needs.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) machine: String,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) cert: String,
    /// With each peer's configuration, or why it did not start.
    pub(crate) peers: Vec<(Found, Result<String, String>)>,
    pub(crate) missing: Vec<&'static str>,
    pub(crate) results: Vec<(Case, Results)>,
    pub(crate) notes: Vec<String>,
}

pub(crate) fn run(args: &CompareArgs) -> Result<(), String> {
    let open_files = machine::raise_open_files();
    let cores = Cores::find()?;
    let (found, missing) = programs(args)?;
    fs::create_dir_all(&args.out).map_err(|error| format!("{}: {error}", args.out.display()))?;
    let dir = args.out.join("peers");
    fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let dir = dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))?;
    let rsa = args.cert == "rsa";
    pki::write(&dir, rsa)?;
    let upstream = Upstream::start(&cores)?;
    machine::pin(&[cores.load]).map_err(|error| format!("affinity: {error}"))?;
    let (tcp, unix) = (Address::Tcp(upstream.tcp), Address::Unix(upstream.unix.clone()));
    let setting = Setting { dir: &dir, tcp, unix, cores, open_files, rsa };
    let mut outcome = Outcome {
        machine: machine::describe(&setting.cores),
        rounds: args.rounds,
        seconds: args.seconds,
        cert: args.cert.clone(),
        peers: Vec::new(),
        missing,
        results: Vec::new(),
        notes: Vec::new(),
    };
    let mut running = start_all(&found, &setting, &mut outcome);
    let idle = idle_connections(args, open_files, &mut outcome);
    for case in CASES.iter().filter(|case| wanted(&args.case, case.word)) {
        let results = one_case(case, &mut running, args, &setting, idle);
        report::print_case(case, &results);
        outcome.results.push((*case, results));
    }
    report::print_end(&outcome);
    report::write(&outcome, &args.out)?;
    if args.write_readme {
        report::write_readme(&outcome)?;
    }
    println!("\nreport: {}", args.out.join("report.md").display());
    Ok(())
}

/// Those that are asked for, and the names of those that are not installed.
fn programs(args: &CompareArgs) -> Result<(Vec<Found>, Vec<&'static str>), String> {
    let sheen = match &args.sheen {
        Some(file) => {
            file.canonicalize().map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => sheen_binary()?,
    };
    let (mut found, mut missing) = peers::find(&sheen, args.root.as_deref())?;
    if let Some(file) = &args.other {
        found.insert(1, peers::other_sheen(file)?);
    }
    let alone = args.peer.iter().any(|word| word == Kind::Sheen.word());
    let always = |name: &str| match name {
        "sheen" | peers::OTHER => true,
        "nginx" => !alone,
        _ => false,
    };
    found.retain(|found| always(&found.name) || wanted(&args.peer, &found.name));
    missing.retain(|name| always(name) || wanted(&args.peer, name));
    if !missing.is_empty() {
        println!("not installed: {}; get them with", missing.join(", "));
        println!("    apt-get install --no-install-recommends {}", missing.join(" "));
    }
    Ok((found, missing))
}

fn wanted(words: &[String], name: &str) -> bool {
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

fn start_all(found: &[Found], setting: &Setting<'_>, outcome: &mut Outcome) -> Vec<Peer> {
    let mut running = Vec::new();
    for found in found {
        let started = Peer::start(found, setting, &setting.usual());
        let config = started.as_ref().map(|peer| peer.config.clone()).map_err(Clone::clone);
        if let Err(error) = &config {
            println!("{}: {error}", found.name);
        }
        outcome.peers.push((found.clone(), config));
        running.extend(started);
    }
    running
}

/// Half of the wanted number: memory is taken at half and at all.
fn idle_connections(args: &CompareArgs, open_files: u64, outcome: &mut Outcome) -> usize {
    // A proxy has two sockets for each.
    let possible = (open_files.saturating_sub(500) / 2) as usize;
    if args.idle > possible {
        outcome.notes.push(format!(
            "{possible} idle WebSockets instead of {}: no more than {open_files} open files are allowed",
            args.idle
        ));
    }
    args.idle.min(possible) / 2
}

fn one_case(
    case: &Case,
    running: &mut [Peer],
    args: &CompareArgs,
    setting: &Setting<'_>,
    idle: usize,
) -> Results {
    let mut results = Results::new();
    let time = Duration::from_secs_f64(args.seconds);
    let rounds = case.rounds(args.rounds);
    for round in 1..=rounds {
        // What comes first is not always the same.
        running.reverse();
        for peer in running.iter_mut().filter(|peer| case.is_for(peer.found.kind)) {
            eprint!("\r\x1b[K{} {round}/{rounds} {}", case.word, peer.found.name);
            let rounds = results.entry(peer.found.name.clone()).or_default();
            match one_round(case, peer, args, setting, idle, time) {
                Ok(measured) => {
                    rounds.samples.push(measured.metrics);
                    rounds.version = measured.version.or(rounds.version);
                    rounds.complaints.extend(measured.complaint);
                }
                Err(error) => rounds.complaints.push(error),
            }
            if peer.has_ended() {
                rounds.complaints.push("its process has ended meanwhile".to_owned());
            }
        }
    }
    eprint!("\r\x1b[K");
    results
}

fn one_round(
    case: &Case,
    peer: &mut Peer,
    args: &CompareArgs,
    setting: &Setting<'_>,
    idle: usize,
    time: Duration,
) -> Result<Measured, String> {
    if case.kind == Shape::Scaling {
        return scaling::measure(peer, setting, time);
    }
    if case.kind == Shape::Rules {
        return rules::measure(case, peer, setting, time);
    }
    let manner = case.manner(setting);
    // With two builds, what one process owes to luck belongs to the noise.
    if case.wants_a_fresh_process() || args.other.is_some() {
        peer.restart(setting, &manner)?;
    } else {
        peer.suit(setting, &manner)?;
    }
    measure(case, peer, time, idle)
}

/// This program again, as the app behind the proxies, on a core that is not the proxy's.
#[derive(Debug)]
struct Upstream {
    tcp: SocketAddr,
    /// Gone when this is.
    unix: PathBuf,
    _running: Running,
}

impl Upstream {
    fn start(cores: &Cores) -> Result<Self, String> {
        let say = |error: std::io::Error| format!("upstream: {error}");
        let own = std::env::current_exe().map_err(say)?;
        let name = format!("sheen-bench-{}.sock", std::process::id());
        let unix = std::env::temp_dir().join(name);
        machine::pin(&[cores.upstream]).map_err(say)?;
        let mut command = Command::new(own);
        command.arg("upstream").arg("--unix").arg(&unix);
        let mut child = command.stdout(Stdio::piped()).spawn().map_err(say)?;
        let stdout = child.stdout.take().expect("it is piped");
        let running = Running::adopt(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map_err(say)?;
        let tcp = line.trim().parse().map_err(|_| format!("upstream said {line:?}"))?;
        Ok(Self { tcp, unix, _running: running })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // What stays behind is a name in the folder for temporary files.
        let _ = fs::remove_file(&self.unix);
    }
}

/// The release build beside this program, brought up to date where there is cargo.
pub(crate) fn sheen_binary() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let dir = own.parent().expect("a program is in a folder");
    let path = dir.join("sheen");
    let target = dir.parent().expect("target/release is in target");
    let built = Command::new("cargo")
        .args(["build", "--quiet", "--locked", "--release", "-p", "sheen", "--target-dir"])
        .arg(target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status();
    match built {
        Ok(status) if status.success() => Ok(path),
        Ok(_) => Err("cargo build --release -p sheen failed".to_owned()),
        Err(_) if path.exists() => Ok(path),
        Err(error) => Err(format!("no {}, and cargo: {error}", path.display())),
    }
}

/// True for the peer that ratios are to.
pub(crate) fn is_baseline(name: &str) -> bool {
    name == Kind::Nginx.word()
}
