//! The machine: cores, limits, and what a report has to say about it.

use std::fs;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Which core does what. The proxy has one to itself.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    pub(crate) proxy: usize,
    pub(crate) load: usize,
    /// The load's core again where there are only two.
    pub(crate) upstream: usize,
    /// Of a proxy's second worker: one to itself from four on, or the load's.
    pub(crate) second: usize,
    /// Those that nobody has.
    pub(crate) spare: Vec<usize>,
    pub(crate) count: usize,
}

impl Cores {
    pub(crate) fn find() -> Result<Self, String> {
        let set = sched_getaffinity(None).map_err(|error| format!("sched_getaffinity: {error}"))?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect();
        Self::among(&cores).ok_or("one core only: proxy and load need a core each".to_owned())
    }

    fn among(cores: &[usize]) -> Option<Self> {
        let [proxy, load, rest @ ..] = cores else { return None };
        let upstream = rest.first().unwrap_or(load);
        let second = rest.get(1).unwrap_or(load);
        let spare = rest.get(2..).unwrap_or_default().to_vec();
        Some(Self {
            proxy: *proxy,
            load: *load,
            upstream: *upstream,
            second: *second,
            spare,
            count: cores.len(),
        })
    }
}

/// Binds this thread, and every process it starts from now on, to `cores`.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_only_where_there_are_too_few() {
        let roles = |cores: &[usize]| {
            let cores = Cores::among(cores)?;
            Some(([cores.proxy, cores.load, cores.upstream, cores.second], cores.spare))
        };
        assert_eq!(roles(&[3]), None);
        assert_eq!(roles(&[3, 5]), Some(([3, 5, 5, 5], vec![])));
        assert_eq!(roles(&[0, 1, 2]), Some(([0, 1, 2, 1], vec![])));
        assert_eq!(roles(&[0, 1, 2, 3, 4, 5]), Some(([0, 1, 2, 3], vec![4, 5])));
    }
}
