//! From the words of a command line to the checked configuration, whatever dialect the file is in.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::native::{self, Loaded};
use super::{Dialect, Problem, dialect, nginx};
use crate::errno;
use crate::limits::CONFIG_BYTES_MAX;

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
    let path = &*source.file;
    let bytes = read(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => "name it with -c FILE, or begin without one: `sheen demo`",
            io::ErrorKind::PermissionDenied => "run sheen as a user who may read it",
            _ => "name a file of text with -c FILE",
        };
        let words = errno::words(&error);
        let what = format!("open() \"{}\" failed ({words})", path.display());
        let (file, hint, dialect) = (String::new(), Some(hint.to_owned()), Dialect::Native);
        vec![Problem { file, line: None, what, hint, dialect }]
    })?;
    match source.dialect.unwrap_or_else(|| dialect(&bytes, path)) {
        Dialect::Native => native::load(bytes, source),
        Dialect::Nginx => nginx(source),
    }
}

fn nginx(source: &Source) -> Result<Loaded, Vec<Problem>> {
    let conf_prefix = source.file.parent().unwrap_or(Path::new("/")).to_owned();
    let prefix = source.prefix.clone().unwrap_or_else(|| conf_prefix.clone());
    let globals = source.globals.iter().cloned().collect();
    nginx::lower::load(&source.file, &nginx::Options { prefix, conf_prefix, globals })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CONFIG_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        let what = format!("larger than {} MiB", CONFIG_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}
