//! What a deed costs sheen: system calls, by strace, and processor time in user space.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use sheen_tests::wait;

/// System calls of `pid` during `deed`, by name.
pub(crate) fn during(pid: u32, deed: impl FnOnce()) -> BTreeMap<String, u64> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let pid_text = pid.to_string();
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-q", "-p", &pid_text, "-o"])
        .arg(file.path())
        .spawn()
        .unwrap();
    wait::until("strace holds every thread", || {
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.flatten().all(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0")
        })
    });
    deed();
    kill_process(Pid::from_child(&strace), Signal::INT).unwrap();
    strace.wait().unwrap();
    let table = fs::read_to_string(file.path()).unwrap();
    let mut calls = BTreeMap::new();
    for line in table.lines() {
        // % time, seconds, microseconds a call, calls, maybe errors, name
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, _, count, .., name] = words[..]
            && let Ok(count) = count.parse()
            && name != "total"
        {
            calls.insert(name.to_owned(), count);
        }
    }
    calls
}

/// Milliseconds that `pid` spends in user space during `deed`.
pub(crate) fn user_ms(pid: u32, deed: impl FnOnce()) -> u64 {
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit_once(") ").unwrap().1;
        after_name.split(' ').nth(11).unwrap().parse::<u64>().unwrap()
    };
    let before = ticks();
    deed();
    (ticks() - before) * 10
}

/// For the console, also when the test passes.
pub(crate) fn say(words: &str) {
    std::io::stderr().write_all(format!("{words}\n").as_bytes()).unwrap();
}
