//! Files: opening them as nginx does, finding those that a pattern names, and refusing cycles.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::tree::Source;
use crate::errno;
use crate::limits::{CONFIG_BYTES_IN_ALL_MAX, CONFIG_DEPTH_MAX, CONFIG_FILES_MAX};

/// What has been read so far.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// True exactly when no file may be opened: the fuzzer's texts name all sorts.
    pub(super) closed: bool,
    pub(super) read: Vec<Source>,
    /// The files that are being read, the outermost first, by their true paths.
    open: Vec<PathBuf>,
    bytes: u64,
}

impl Files {
    /// Reads a file and holds it open, so that it cannot include itself; [`Files::close`] must
    /// follow. What is wrong is said as nginx says it.
    pub(super) fn open(&mut self, path: &Path) -> Result<Vec<u8>, String> {
        let name = path.display();
        let failed = |call: &str, error: &io::Error| {
            format!("{call} \"{name}\" failed ({})", errno::words(error))
        };
        if self.closed {
            return Err(format!("open() \"{name}\" failed"));
        }
        let file = File::open(path).map_err(|error| failed("open()", &error))?;
        let left = CONFIG_BYTES_IN_ALL_MAX - self.bytes;
        let mut text = Vec::new();
        file.take(left + 1).read_to_end(&mut text).map_err(|error| failed("pread()", &error))?;
        self.enter(path, text)
    }

    /// As [`Files::open`], with what has been read of the file.
    pub(super) fn enter(&mut self, path: &Path, text: Vec<u8>) -> Result<Vec<u8>, String> {
        let name = path.display();
        // A pipe has none.
        let canonical = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.open.contains(&canonical) {
            return Err(format!("\"{name}\" includes itself"));
        }
        if self.open.len() >= CONFIG_DEPTH_MAX {
            return Err(format!("more than {CONFIG_DEPTH_MAX} files include each other"));
        }
        if self.read.len() >= CONFIG_FILES_MAX {
            return Err(format!("more than {CONFIG_FILES_MAX} files"));
        }
        if text.len() as u64 > CONFIG_BYTES_IN_ALL_MAX - self.bytes {
            let most = CONFIG_BYTES_IN_ALL_MAX >> 20;
            return Err(format!("the configuration is larger than {most} MiB"));
        }
        self.bytes += text.len() as u64;
        self.open.push(canonical);
        // A file that is included often is shown once, as nginx does.
        if !self.read.iter().any(|source| source.path == path) {
            self.read.push(Source { path: path.to_owned(), text: text.clone() });
        }
        Ok(text)
    }

    pub(super) fn close(&mut self) {
        self.open.pop();
    }
}

/// The files that the argument of `include` names, sorted. A pattern may name none, a name without
/// signs of a pattern is one that must exist.
pub(super) fn named(argument: &[u8], conf_prefix: &Path) -> Result<Vec<PathBuf>, String> {
    let path = conf_prefix.join(OsStr::from_bytes(argument));
    if !argument.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[')) {
        return Ok(vec![path]);
    }
    let pattern = path.to_string_lossy();
    let options = glob::MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let found = glob::glob_with(&pattern, options)
        .map_err(|error| format!("glob() \"{pattern}\" failed ({})", error.msg))?;
    // Folders that cannot be listed hold nothing for us, as for nginx.
    let mut paths: Vec<PathBuf> = found.flatten().take(CONFIG_FILES_MAX + 1).collect();
    paths.sort_by(|left, right| left.as_os_str().cmp(right.as_os_str()));
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn patterns_name_files_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".hidden.conf", "c.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        symlink("a.conf", folder.path().join("d.conf")).unwrap();
        symlink("nowhere", folder.path().join("e.conf")).unwrap();
        let names = |argument: &[u8]| -> Vec<String> {
            let paths = named(argument, folder.path()).unwrap();
            let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            paths.iter().map(name).collect()
        };
        assert_eq!(names(b"*.conf"), ["a.conf", "b.conf", "d.conf", "e.conf"]);
        assert_eq!(names(b"[ab].co?f"), ["a.conf", "b.conf"]);
        assert_eq!(names(b"x*"), [""; 0]);
        assert_eq!(names(b"missing.conf"), ["missing.conf"]);
        assert_eq!(named(b"/etc/x", folder.path()), Ok(vec![PathBuf::from("/etc/x")]));
    }

    #[test]
    fn what_cannot_be_opened_is_said_in_words_of_nginx() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        let missing = folder.path().join("x");
        let expected =
            format!("open() \"{}\" failed (2: No such file or directory)", missing.display());
        assert_eq!(files.open(&missing), Err(expected));
        let expected =
            format!("pread() \"{}\" failed (21: Is a directory)", folder.path().display());
        assert_eq!(files.open(folder.path()), Err(expected));
        fs::write(&missing, "a;").unwrap();
        assert_eq!(files.open(&missing), Ok(b"a;".to_vec()));
        assert!(files.open(&missing).unwrap_err().ends_with("includes itself"));
        files.close();
        assert!(files.open(&missing).is_ok());
        assert_eq!(files.read.len(), 1);
    }
}
