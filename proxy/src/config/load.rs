//! From the words of a command line to the checked configuration, whatever dialect the file is in.

use std::path::{Path, PathBuf};

use super::Problem;
use super::native::{self, Loaded};

/// Where a configuration comes from, as nginx's flags say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `-c`, absolute.
    pub file: PathBuf,
    /// `-p`: the folder to which logs and the pid file are relative; `None`: that of the file.
    pub prefix: Option<PathBuf>,
    /// `-g`: directives beside the file, in nginx's language.
    pub globals: Option<String>,
    /// `-e`: the error log of a file that names none.
    pub error_log: Option<String>,
    /// `--dialect`; `None`: the content tells.
    pub dialect: Option<Dialect>,
}

/// A language of configuration files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// sheen.toml.
    Native,
    /// nginx.conf.
    Nginx,
}

impl Source {
    /// A file without further words.
    pub fn file(file: &Path) -> Self {
        Self {
            file: std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            prefix: None,
            globals: None,
            error_log: None,
            dialect: None,
        }
    }
}

/// Reads and checks a configuration; everything that is wrong is reported at once.
pub fn load(source: &Source) -> Result<Loaded, Vec<Problem>> {
    match source.dialect {
        None | Some(Dialect::Native) => native::load(source),
        Some(Dialect::Nginx) => Err(vec![Problem {
            file: source.file.display().to_string(),
            line: None,
            what: "nginx.conf is a dialect that this sheen does not read".to_owned(),
            hint: Some("write a sheen.toml: proxy/example.toml has every key".to_owned()),
        }]),
    }
}
