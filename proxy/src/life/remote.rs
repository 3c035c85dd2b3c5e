//! `-s SIGNAL`: a word to the process that the pid file names.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::pidfile;
use crate::config::Level;
use crate::errno;

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
