//! Where log lines end up: files, the terminal, syslog.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::syslog::Sender;
use crate::config::{LogConfig, LogTarget};
use crate::errno;

/// All logs of a configuration, open.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) config: LogConfig,
    /// By their numbers.
    pub(super) access: Vec<Output>,
    pub(super) error: Output,
}

#[derive(Debug)]
pub(super) enum Output {
    None,
    Stdout,
    Stderr,
    File(File),
    Syslog(Box<Sender>),
}

impl Files {
    pub(super) fn open(config: &LogConfig) -> io::Result<Self> {
        let first = config.access.as_ref().map_or(Ok(Output::None), Output::open)?;
        let mut access = vec![first];
        for target in &config.others {
            access.push(Output::open(target)?);
        }
        Ok(Self { access, error: Output::open(&config.error)?, config: config.clone() })
    }

    pub(super) fn access(&mut self, number: usize, lines: &[u8]) {
        // Between two configurations a number may be gone.
        if let Some(output) = self.access.get_mut(number) {
            output.write(lines);
        }
    }

    pub(super) fn error(&mut self, line: &[u8]) {
        self.error.write(line);
    }
}

impl Output {
    fn open(target: &LogTarget) -> io::Result<Self> {
        let open = |path: &Path| {
            let file = OpenOptions::new().append(true).create(true).open(path);
            file.map_err(|error| {
                let words = errno::words(&error);
                io::Error::other(format!("open() \"{}\" failed ({words})", path.display()))
            })
        };
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
            Self::None => Ok(()),
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
