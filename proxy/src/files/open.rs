//! From a path to an open file, and what nginx says where there is none.
//!
//! These calls block, as nginx's do without `aio`: what is served again and again is in the page
//! cache.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::errno;

/// What is at a path.
#[derive(Debug)]
pub(super) enum Opened {
    File { file: File, size: u64, modified: i64 },
    Directory,
}

/// Why there is no file: the status for it and the words for the error log, which may be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub status: u16,
    pub words: String,
}

/// Opens what is at `path` for reading. Anything but a file or a directory is not found.
pub(super) fn open(path: &[u8]) -> Result<Opened, Trouble> {
    // A FIFO would hold the worker up before it could be told from a file. The library adds
    // O_CLOEXEC.
    let not_waiting = OFlags::NONBLOCK.bits() as i32;
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(not_waiting);
    let file = options.open(OsStr::from_bytes(path)).map_err(|e| failed("open()", path, &e))?;
    let metadata = file.metadata().map_err(|error| failed("fstat()", path, &error))?;
    if metadata.is_dir() {
        return Ok(Opened::Directory);
    }
    if !metadata.is_file() {
        let words = format!("{} is not a regular file", quoted(path));
        return Err(Trouble { status: 404, words });
    }
    Ok(Opened::File { file, size: metadata.len(), modified: metadata.mtime() })
}

/// The first of `names` that exists in the directory at `path`, or begins with a slash and is then
/// a URI of its own; `None` when none does.
///
/// Errors: the directory itself is not there, or can't be looked into.
pub(super) fn index<'n>(path: &[u8], names: &[&'n [u8]]) -> Result<Option<&'n [u8]>, Trouble> {
    let mut is_tested = false;
    for name in names {
        if name.starts_with(b"/") {
            return Ok(Some(name));
        }
        let whole = [path, name].concat();
        let error = match fs::metadata(OsStr::from_bytes(&whole)) {
            Ok(_) => return Ok(Some(name)),
            Err(error) => error,
        };
        match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::MLINK) => return Err(failed("stat()", &whole, &error)),
            Some(Errno::NOTDIR | Errno::NAMETOOLONG | Errno::ACCESS) => {
                return Err(no_index(path, &error));
            }
            _ => {}
        }
        if !is_tested {
            test_directory(path)?;
            is_tested = true;
        }
        if Errno::from_io_error(&error) != Some(Errno::NOENT) {
            return Err(failed("stat()", &whole, &error));
        }
    }
    Ok(None)
}

fn test_directory(path: &[u8]) -> Result<(), Trouble> {
    match fs::metadata(OsStr::from_bytes(path)) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => {
            let words = format!("{} is not a directory", quoted(path));
            Err(Trouble { status: 500, words })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(no_index(path, &error)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::MLINK) => Err(failed("stat()", path, &error)),
            _ => Err(Trouble { status: 500, words: words("stat()", path, &error) }),
        },
    }
}

fn no_index(path: &[u8], error: &io::Error) -> Trouble {
    let (status, what) = match Errno::from_io_error(error) {
        Some(Errno::ACCESS) => (403, "is forbidden"),
        _ => (404, "is not found"),
    };
    Trouble { status, words: format!("{} {what} ({})", quoted(path), errno::words(error)) }
}

/// nginx's statuses for what a system call answers.
fn failed(call: &str, path: &[u8], error: &io::Error) -> Trouble {
    let status = match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => 404,
        Some(Errno::ACCESS | Errno::LOOP | Errno::MLINK) => 403,
        _ => 500,
    };
    Trouble { status, words: words(call, path, error) }
}

fn words(call: &str, path: &[u8], error: &io::Error) -> String {
    format!("{call} {} failed ({})", quoted(path), errno::words(error))
}

/// In quotes, without control characters.
pub(super) fn quoted(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_nginx_s_statuses_and_words() {
        for (error, status, reason) in [
            (Errno::NOENT, 404, "(2: No such file or directory)"),
            (Errno::NOTDIR, 404, "(20: Not a directory)"),
            (Errno::NAMETOOLONG, 404, "(36: File name too long)"),
            (Errno::ACCESS, 403, "(13: Permission denied)"),
            (Errno::LOOP, 403, "(40: Too many levels of symbolic links)"),
            (Errno::MFILE, 500, "(24: Too many open files)"),
            (Errno::IO, 500, "(5: Input/output error)"),
        ] {
            let trouble = failed("open()", b"/a\n\"b", &error.into());
            let words = format!("open() \"/a\\n\\\"b\" failed {reason}");
            assert_eq!(trouble, Trouble { status, words });
        }
        let words = |error: Errno| no_index(b"/d/", &error.into());
        assert_eq!(words(Errno::ACCESS).status, 403);
        assert_eq!(words(Errno::ACCESS).words, "\"/d/\" is forbidden (13: Permission denied)");
        assert_eq!(words(Errno::NOENT).status, 404);
    }

    #[test]
    fn an_index_is_looked_for_in_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("two"), "").unwrap();
        let path = format!("{}/", folder.path().display());
        let found = |path: &str, names: &[&'static [u8]]| {
            index(path.as_bytes(), names).map_err(|trouble| trouble.status)
        };
        assert_eq!(found(&path, &[b"one", b"two", b"/three"]), Ok(Some(&b"two"[..])));
        assert_eq!(found(&path, &[b"one", b"/three", b"two"]), Ok(Some(&b"/three"[..])));
        assert_eq!(found(&path, &[b"one"]), Ok(None));
        assert_eq!(found(&path, &[]), Ok(None));
        assert_eq!(found(&format!("{path}none/"), &[b"one"]), Err(404));
        assert_eq!(found(&format!("{path}two/"), &[b"one"]), Err(404));
        // An alias without its slash.
        assert_eq!(found(&path[..path.len() - 1], &[b"one"]), Ok(None));
    }
}
