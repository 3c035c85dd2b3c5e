//! The machine: cores, limits, and what a report has to say about it.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which core does what. The proxy has one to itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) load: usize,
    /// The load's core again where there are only two.
    pub(crate) upstream: usize,
    pub(crate) count: usize,
}

impl Cores {
    pub(crate) fn find() -> Result<Self, String> {
        let set = sched_getaffinity(None).map_err(|error| format!("sched_getaffinity: {error}"))?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
        match cores[..] {
            [] | [_] => Err("one core only: proxy and load need a core each".to_owned()),
            [proxy, load] => Ok(Self { proxy, load, upstream: load, count: 2 }),
            [proxy, load, upstream, ..] => Ok(Self { proxy, load, upstream, count: cores.len() }),
        }
    }
}

/// Binds this thread, and every process it starts from now on, to `core`.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Raises the soft limit of open files to the hard one, for us and every process we start.
pub(crate) fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it is refused the cases are scaled to what there is.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// "2 of: AMD EPYC; Linux 6.18.0; Debian GNU/Linux 12 (bookworm)".
pub(crate) fn describe(cores: &Cores) -> String {
    let find = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        let value = line.split_once([':', '=']).map_or("unknown", |(_, value)| value);
        value.trim().trim_matches('"').to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} cores of {}; Linux {}; {}",
        cores.count,
        find("/proc/cpuinfo", "model name"),
        kernel.trim(),
        find("/etc/os-release", "PRETTY_NAME"),
    )
}
