//! From the words of a command line to the checked configuration, whatever dialect the file is in.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::native::{self, Loaded};
use super::{Dialect, Problem, dialect, dump, nginx};
use crate::errno;
use crate::limits::{CONFIG_BYTES_IN_ALL_MAX, CONFIG_BYTES_MAX};

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

    /// The folder that logs and the pid file are relative to.
    fn prefix(&self) -> PathBuf {
        let folder = || self.file.parent().unwrap_or(Path::new("/")).to_owned();
        self.prefix.clone().unwrap_or_else(folder)
    }

    /// The file of `-e`; `None` without one, and for the terminal.
    pub fn named_error_log(&self) -> Option<PathBuf> {
        let name = self.error_log.as_deref().filter(|name| !["", "stderr"].contains(name))?;
        Some(self.prefix().join(name))
    }
}

/// Reads and checks a configuration; everything that is wrong is reported at once.
pub fn load(source: &Source) -> Result<Loaded, Vec<Problem>> {
    match open(source)? {
        (Dialect::Native, bytes) => native::load(bytes, source),
        (Dialect::Nginx, bytes) => nginx::load(&source.file, bytes, &options(source)),
    }
}

/// What `-T` prints: a sheen.toml with every default spelled out; an nginx.conf and all it includes
/// as they are written, as nginx does.
pub fn printed(source: &Source) -> Result<Vec<u8>, Vec<Problem>> {
    match open(source)? {
        (Dialect::Native, bytes) => {
            native::load(bytes, source).map(|loaded| dump::to_toml(&loaded.config).into_bytes())
        }
        (Dialect::Nginx, bytes) => {
            nginx::read(&source.file, bytes, &options(source)).map(|tree| tree.dump())
        }
    }
}

/// The bytes of the file, and the language they are in.
fn open(source: &Source) -> Result<(Dialect, Vec<u8>), Vec<Problem>> {
    let path = &*source.file;
    let refuse = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound => {
                "name it with -c FILE; to try sheen without one: `sheen demo`"
            }
            io::ErrorKind::PermissionDenied => "run sheen as a user who may read it",
            _ => "name a file of text with -c FILE",
        };
        let what = errno::cannot_open(path, &error);
        let (file, hint, dialect) = (String::new(), Some(hint.to_owned()), Dialect::Native);
        vec![Problem { file, line: None, what, hint, dialect }]
    };
    let bytes = read(path).map_err(refuse)?;
    let dialect = source.dialect.unwrap_or_else(|| dialect(&bytes, path));
    let most = match dialect {
        Dialect::Native => CONFIG_BYTES_MAX,
        Dialect::Nginx => CONFIG_BYTES_IN_ALL_MAX,
    };
    if bytes.len() as u64 > most {
        let what = format!("larger than {} MiB", most >> 20);
        return Err(refuse(io::Error::new(io::ErrorKind::FileTooLarge, what)));
    }
    Ok((dialect, bytes))
}

fn options(source: &Source) -> nginx::Options {
    let conf_prefix = source.file.parent().unwrap_or(Path::new("/")).to_owned();
    nginx::Options {
        prefix: source.prefix(),
        conf_prefix,
        globals: source.globals.iter().cloned().collect(),
        error_log: source.error_log.clone(),
    }
}

/// As much of the file as any dialect takes, and a byte more of one that is larger.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(CONFIG_BYTES_IN_ALL_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Level, LogTarget};

    #[test]
    fn the_words_of_the_command_line_reach_an_nginx_conf() {
        let folder = tempfile::tempdir().unwrap();
        let within = |name: &str| folder.path().join(name);
        let config = |top: &str| -> Config {
            let file = within("nginx.conf");
            let rest = "events {} http { server { listen 127.0.0.1:80; return 204; } }";
            std::fs::write(&file, format!("{top} {rest}")).unwrap();
            let error_log = Some("e.log".to_owned());
            let globals = Some("pid x.pid;".to_owned());
            load(&Source { globals, error_log, ..Source::file(&file) }).unwrap().config
        };
        let unnamed = config("");
        assert_eq!(unnamed.process.pid, Some(within("x.pid")));
        assert_eq!(unnamed.log.error, LogTarget::File(within("e.log")));
        // Sheen's own files are smaller.
        config(&"# a long list\n".repeat(100_000));
        let named = config("error_log other.log;");
        assert_eq!(
            (named.log.error, named.log.level),
            (LogTarget::File(within("other.log")), Level::Error)
        );
        let nowhere = config("error_log /dev/null crit;");
        assert_eq!(
            (nowhere.log.error, nowhere.log.level),
            (LogTarget::File("/dev/null".into()), Level::Crit)
        );
    }
}
