//! What a load or a reload has to say: changes, kept sources and warnings, each in one line

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use x509_parser::time::ASN1Time;

use crate::check::Identity;

/// The outcome of a load or a reload.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What is served differently from now on.
    pub changed: Vec<Change>,
    /// Sources whose files are bad now; their last good identity stays in service.
    pub kept: Vec<Problem>,
    /// What is served and will hurt some client, or soon all of them.
    pub warnings: Vec<Problem>,
}

impl Report {
    /// True exactly when there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.kept.is_empty() && self.warnings.is_empty()
    }
}

/// One source that is answered with something new, for the first time, or no longer.
#[derive(Clone, Debug)]
pub struct Change {
    /// The certificate file of the source.
    pub file: PathBuf,
    /// The names it is for: those of the configuration, else those of the certificate.
    pub names: Vec<String>,
    /// What is served now; `None` when the source is gone from the configuration.
    pub now: Option<Arc<Identity>>,
    /// What was served before; `None` when the source is new.
    pub was: Option<Arc<Identity>>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.names[..self.names.len().min(NAMES_SHOWN_MAX)];
        match self.names.len() - shown.len() {
            _ if shown.is_empty() => write!(f, "certificate without names")?,
            0 => write!(f, "certificate for {}", shown.join(", "))?,
            more => write!(f, "certificate for {} and {more} more", shown.join(", "))?,
        }
        let Some(now) = &self.now else {
            write!(f, ": no longer served, from {}", self.file.display())?;
            return match &self.was {
                Some(was) => write!(f, " (was serial {})", was.serial_hex()),
                None => Ok(()),
            };
        };
        write!(
            f,
            ": serial {} expires {}, {}, from {}",
            now.serial_hex(),
            date(now.not_after()),
            now.key_kind(),
            self.file.display()
        )?;
        match &self.was {
            None => Ok(()),
            Some(was) if was.fingerprint() == now.fingerprint() => {
                write!(f, " (same certificate, new chain)")
            }
            Some(was) => write!(f, " (was serial {})", was.serial_hex()),
        }
    }
}

/// Something wrong with a file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file it is about.
    pub file: PathBuf,
    /// What is wrong, in lower case and without a full stop.
    pub what: String,
    /// The likely cause, or what to do.
    pub hint: Option<String>,
}

impl Problem {
    pub(crate) fn new(file: &Path, what: impl Into<String>) -> Problem {
        Problem { file: file.to_path_buf(), what: what.into(), hint: None }
    }

    /// Adds what is not there yet: pairs of one file have their problems in common.
    pub(crate) fn merge(known: &mut Vec<Problem>, found: Vec<Problem>) {
        for problem in found {
            if !known.contains(&problem) {
                known.push(problem);
            }
        }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.what)?;
        match &self.hint {
            Some(hint) => write!(f, "; hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// The day of a moment in unix seconds, as 2027-01-01.
pub(crate) fn date(unix_secs: i64) -> String {
    match ASN1Time::from_timestamp(unix_secs) {
        Ok(time) => time.to_datetime().date().to_string(),
        Err(_) => format!("{unix_secs} s after 1970"),
    }
}

/// A line of a log is read by people; a certificate may have a hundred names.
const NAMES_SHOWN_MAX: usize = 4;
