//! Which cores this process may use, and staying on one.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Cores in the affinity mask of this thread.
pub fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
}

/// Keeps this thread on one core. Where that is forbidden it runs as well, a little slower.
pub fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    let _ = sched_setaffinity(None, &set);
}
