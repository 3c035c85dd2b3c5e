//! The file in which scripts find our process id.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rustix::process::{Gid, Pid, Uid};

use crate::errno::{self, cannot_open};

/// A pid file of this process.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    name: Name,
}

/// Under which name the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Own,
    /// `.oldbin`: the own one belongs to the successor.
    OldBinary,
}

impl PidFile {
    /// Writes it over one that a dead process has left.
    ///
    /// Errors: in nginx's words.
    pub fn write(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| cannot_open(path, &error);
        let mut file = fs::File::create(path).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        // Root's, as nginx's is, also where we have become a user: root will send signals to whom it
        // names. Whoever is no root, nor ever was, keeps it.
        let _ = rustix::fs::fchown(&file, Some(Uid::ROOT), Some(Gid::ROOT));
        Ok(Self { path: path.to_owned(), name: Name::Own })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes room for the file of the successor.
    pub fn make_way(&mut self) -> Result<(), String> {
        rename(&self.path, &old(&self.path))?;
        self.name = Name::OldBinary;
        Ok(())
    }

    /// Takes the place back that [`PidFile::make_way`] gave up.
    pub fn come_back(&mut self) -> Result<(), String> {
        if self.name == Name::OldBinary {
            rename(&old(&self.path), &self.path)?;
            self.name = Name::Own;
        }
        Ok(())
    }

    /// At the end of the process.
    pub fn remove(self) {
        let path = match self.name {
            Name::Own => self.path,
            Name::OldBinary => old(&self.path),
        };
        // One that is gone already is what we want.
        let _ = fs::remove_file(path);
    }
}

/// Whether the file could be written, for `-t`, which writes none.
pub fn check(path: &Path) -> Result<(), String> {
    let access = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let result = match access(path) {
        Err(rustix::io::Errno::NOENT) => access(folder),
        result => result,
    };
    result.map_err(|error| cannot_open(path, &error.into()))
}

/// Whom a pid file names.
///
/// Errors: in nginx's words.
pub fn read(path: &Path) -> Result<Pid, String> {
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| cannot_open(path, &error))?;
    let read = file.take(PID_BYTES_MAX).read_to_string(&mut text);
    let number = text.trim_end_matches(['\r', '\n']);
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number
        .parse()
        .ok()
        .filter(|_| digits && read.is_ok())
        .and_then(Pid::from_raw)
        .ok_or_else(|| format!("invalid PID number \"{number}\" in \"{}\"", path.display()))
}

fn old(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".oldbin");
    name.into()
}

fn rename(from: &Path, to: &Path) -> Result<(), String> {
    fs::rename(from, to).map_err(|error| {
        let (from, to) = (from.display(), to.display());
        format!("rename() {from} to {to} failed ({})", errno::words(&error))
    })
}

const PID_BYTES_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_moved_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        let old = dir.path().join("x.pid.oldbin");
        fs::write(&path, "a stale one that is longer than ours will be\n").unwrap();
        let mut file = PidFile::write(&path).unwrap();
        assert_eq!(read(&path).unwrap().as_raw_nonzero().get() as u32, std::process::id());
        file.make_way().unwrap();
        assert!(!path.exists() && old.exists());
        file.come_back().unwrap();
        assert!(path.exists() && !old.exists());
        file.make_way().unwrap();
        file.remove();
        assert!(!path.exists() && !old.exists());
    }

    #[test]
    fn says_what_nginx_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.pid");
        let shown = path.display();
        let missing = format!("open() \"{shown}\" failed (2: No such file or directory)");
        assert_eq!(read(&path), Err(missing));
        for (text, number) in
            [("", ""), ("abc\n", "abc"), ("-1\n", "-1"), ("0\n", "0"), ("1 2", "1 2")]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&path), Err(format!("invalid PID number \"{number}\" in \"{shown}\"")));
        }
        assert_eq!(check(&path), Ok(()));
        let nowhere = dir.path().join("no/x.pid");
        let words =
            format!("open() \"{}\" failed (2: No such file or directory)", nowhere.display());
        assert_eq!(check(&nowhere), Err(words.clone()));
        assert_eq!(PidFile::write(&nowhere).unwrap_err(), words);
    }
}
