//! Programs we start and what they cost: CPU time and memory of a process and all its descendants.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A program that ends when this value does.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Starts it with its output in `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
        let copy = file.try_clone().map_err(|error| format!("{}: {error}", log.display()))?;
        let started = command.stdin(Stdio::null()).stdout(file).stderr(copy).spawn();
        let program = command.get_program().to_string_lossy().into_owned();
        Ok(Self { child: started.map_err(|error| format!("{program}: {error}"))? })
    }

    pub(crate) fn adopt(child: Child) -> Self {
        Self { child }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end; true when it came in time and was a good one.
    pub(crate) fn succeeds_within(&mut self, within: Duration) -> bool {
        wait_until(within, || self.has_ended())
            && matches!(self.child.try_wait(), Ok(Some(status)) if status.success())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // Fails only when it is gone already.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Ends it and all its descendants, and waits until they are gone.
    pub(crate) fn end(&mut self) {
        if self.has_ended() {
            return;
        }
        let family = descendants(self.child.id());
        self.signal(Signal::TERM);
        if !wait_until(GRACE, || self.has_ended()) {
            // Its processes, from the leaves up; some may have ended meanwhile.
            for pid in family.iter().rev().filter_map(|pid| Pid::from_raw(*pid as i32)) {
                let _ = kill_process(pid, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time that the program has had so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        descendants(self.child.id()).iter().map(|pid| cpu_of(*pid)).sum()
    }

    /// Proportional set size of the program, in bytes.
    pub(crate) fn pss(&self) -> u64 {
        descendants(self.child.id()).iter().map(|pid| pss_of(*pid)).sum()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Waits for a condition; false when it did not come true in time.
pub(crate) fn wait_until(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + within;
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        pause(Duration::from_millis(10));
    }
    true
}

#[allow(clippy::disallowed_methods, reason = "other programs do not tell us when they are ready")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// `root` and every process below it.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name in parentheses may hold anything, so count from its end: state, parent.
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(pid) = family.get(next) {
        family.extend(children.get(pid).into_iter().flatten());
        next += 1;
    }
    family
}

/// True when every thread of the process waits for something.
pub(crate) fn is_asleep(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads
        .map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap_or_default())
        .all(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S')))
}

/// Nanoseconds on a core, all threads of the process.
fn cpu_of(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let ns = threads.map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
    });
    ns.sum::<u64>()
}

fn pss_of(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Time to end after being asked.
const GRACE: Duration = Duration::from_secs(3);
