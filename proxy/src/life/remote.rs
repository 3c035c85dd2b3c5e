//! `-s SIGNAL`: a word to the process that the pid file names.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::pidfile;
use super::voice::announce;
use crate::config::Level;
use crate::errno;
use crate::log;

/// What `-s` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Stop,
    Quit,
    Reopen,
    Reload,
}

impl Word {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "stop" => Some(Self::Stop),
            "quit" => Some(Self::Quit),
            "reopen" => Some(Self::Reopen),
            "reload" => Some(Self::Reload),
            _ => None,
        }
    }

    fn signal(self) -> Signal {
        match self {
            Self::Stop => Signal::TERM,
            Self::Quit => Signal::QUIT,
            Self::Reopen => Signal::USR1,
            Self::Reload => Signal::HUP,
        }
    }
}

/// Where it is said what has become of the signal: on the terminal, or in the file of `-e`, as in
/// nginx; not in the log of the configuration, which belongs to the process that runs.
#[derive(Debug)]
pub struct Voice(Option<File>);

impl Voice {
    pub fn new(file: Option<PathBuf>) -> Self {
        let complain =
            |error| announce(Level::Alert, format!("could not open error log file: {error}"));
        Self(file.and_then(|path| log::open(&path).map_err(complain).ok()))
    }

    pub fn say(&self, level: Level, words: &str) {
        if let Some(mut file) = self.0.as_ref() {
            // A log that can't be written has nobody to tell.
            let _ = writeln!(file, "{}", log::error_line(level, words));
        }
        if self.0.is_none() || level <= Level::Warn {
            eprintln!("sheen: [{}] {words}", level.word());
        }
    }
}

/// Errors: in nginx's words, and at its level.
pub fn send(word: Word, pid_file: &Path) -> Result<(), (Level, String)> {
    let pid = pidfile::read(pid_file).map_err(|words| (Level::Error, words))?;
    let signal = word.signal();
    kill_process(pid, signal).map_err(|error| {
        let (pid, signal) = (Pid::as_raw(Some(pid)), signal.as_raw());
        let words = errno::words(&error.into());
        (Level::Alert, format!("kill({pid}, {signal}) failed ({words})"))
    })
}
