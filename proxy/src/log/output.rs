//! Where log lines end up: files, the terminal, syslog.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::syslog::Sender;
use crate::config::{LogConfig, LogTarget, LogTargets};
use crate::errno;
use crate::limits::GONE_LOGS_MAX;

/// All logs of a configuration, open.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) config: LogConfig,
    /// By their numbers.
    pub(super) access: Vec<Output>,
    pub(super) error: Output,
    /// Logs of configurations before, for requests that began with them; the latest last.
    gone: Vec<(LogTarget, Output)>,
}

#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    Stderr,
    File(File),
    Syslog(Box<Sender>),
}

impl Files {
    pub(super) fn open(config: &LogConfig) -> io::Result<Self> {
        let access = config.access.iter().map(Output::open).collect::<Result<_, _>>()?;
        let (error, config) = (Output::open(&config.error)?, config.clone());
        Ok(Self { access, error, config, gone: Vec::new() })
    }

    /// Takes the place of those before it.
    pub(super) fn succeed(&mut self, before: Self) {
        let Self { config, access, gone, .. } = before;
        let before = gone.into_iter().chain(config.access.iter().cloned().zip(access));
        self.gone.extend(before.filter(|(target, _)| !self.config.access.contains(target)));
        let surplus = self.gone.len().saturating_sub(GONE_LOGS_MAX);
        self.gone.drain(..surplus);
    }

    /// Writes to the log of that number among `logs`, which those of another configuration may be.
    pub(super) fn access(&mut self, logs: &LogTargets, number: usize, lines: &[u8]) {
        let output = if Arc::ptr_eq(logs, &self.config.access) {
            self.access.get_mut(number)
        } else {
            let Some(wanted) = logs.get(number) else { return };
            let at = self.config.access.iter().position(|target| target == wanted);
            match at {
                Some(at) => self.access.get_mut(at),
                None => self.gone.iter_mut().find(|(it, _)| it == wanted).map(|(_, output)| output),
            }
        };
        if let Some(output) = output {
            output.write(lines);
        }
    }

    pub(super) fn error(&mut self, line: &[u8]) {
        self.error.write(line);
    }
}

/// A log file, to write behind what is there.
///
/// Errors: in nginx's words.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|error| io::Error::other(errno::cannot_open(path, &error)))
}

impl Output {
    fn open(target: &LogTarget) -> io::Result<Self> {
        Ok(match target {
            LogTarget::Stdout => Self::Stdout,
            LogTarget::Stderr => Self::Stderr,
            LogTarget::File(path) => Self::File(open(path)?),
            LogTarget::Syslog(syslog) => Self::Syslog(Box::new(Sender::new(syslog))),
        })
    }

    /// A log that can't be written has nobody to tell.
    fn write(&mut self, bytes: &[u8]) {
        let _ = match self {
            Self::Stdout => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Self::Stderr => io::stderr().write_all(bytes),
            Self::File(file) => file.write_all(bytes),
            Self::Syslog(sender) => {
                sender.send(bytes);
                Ok(())
            }
        };
    }
}
