//! Where the control plane speaks: to whoever started the process, and into the error log.

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::config::{Config, Level, LogConfig, LogTarget, Rung};
use crate::listeners::Active;
use crate::log::Handle;

#[derive(Debug, Clone)]
pub struct Voice {
    log: Handle,
    /// True exactly when somebody may read our standard error.
    terminal: bool,
    /// True exactly when the error log is another place than that.
    logged: bool,
}

impl Voice {
    pub fn new(log: Handle, config: &LogConfig, terminal: bool) -> Self {
        let logged = config.error != LogTarget::Stderr;
        Self { log, terminal, logged }
    }

    pub fn say(&self, level: Level, words: impl Display) {
        if self.terminal {
            announce(level, &words);
        }
        if self.logged {
            self.log.say(level, &words);
        }
    }
}

/// A line for whoever started the process. News has no level before it.
pub fn announce(level: Level, words: impl Display) {
    let mut stderr = io::stderr().lock();
    // A terminal that is gone has nobody to tell.
    let _ = match level {
        Level::Notice | Level::Info | Level::Debug => writeln!(stderr, "sheen: {words}"),
        _ => writeln!(stderr, "sheen: [{}] {words}", level.word()),
    };
}

/// What an operator wants to see once, at start.
pub fn introduce(
    voice: &Voice,
    config: &Config,
    rung: Rung,
    notes: &[String],
    report: &certstore::Report,
    listeners: &[Active],
) {
    let workers = config.workers;
    let plural = if workers == 1 { "" } else { "s" };
    let version = env!("CARGO_PKG_VERSION");
    let say = |words: &dyn Display| voice.say(Level::Notice, words);
    say(&format_args!("version {version}, {workers} worker{plural} on {}", rung.word()));
    report.changed.iter().for_each(|change| say(change));
    report.warnings.iter().for_each(|warning| voice.say(Level::Warn, warning));
    notes.iter().for_each(|note| say(note));
    listeners.iter().for_each(|active| say(&active.words()));
}

/// What the certificate watch, or a reload, has to say.
pub fn say_report(log: &Handle, report: &certstore::Report) {
    report.changed.iter().for_each(|change| log.say(Level::Info, change));
    report.kept.iter().for_each(|problem| log.say(Level::Error, problem));
    report.warnings.iter().for_each(|warning| log.say(Level::Warn, warning));
}
