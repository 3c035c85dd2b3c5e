//! The Shiny app of `tests/real/app.R` in an R of its own.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sheen_tests::{port, wait};
use tempfile::TempDir;

/// Megabytes that the download link gives.
pub(crate) const DOWNLOAD_MB: usize = 100;

/// How often a port taken by someone else in the meantime is replaced by another.
const PORTS_TRIED: usize = 5;

/// A running app. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Shiny {
    child: Child,
    port: u16,
    dir: TempDir,
}

impl Shiny {
    /// Starts R and waits until the app listens.
    pub(crate) fn start() -> Self {
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join("block"), sheen_tests::pattern(0, block_len())).unwrap();
        let mut said = String::new();
        for _ in 0..PORTS_TRIED {
            let port = port::free();
            let mut child = spawn(dir.path(), port);
            let mut listens = false;
            wait::until("the Shiny app", || {
                said = fs::read_to_string(dir.path().join("log")).unwrap();
                listens = said.contains("Listening on http://127.0.0.1");
                listens || child.try_wait().unwrap().is_some()
            });
            if listens {
                return Self { child, port, dir };
            }
        }
        panic!("the Shiny app does not start:\n{said}");
    }

    /// As `to = "..."` takes it.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A folder for files of the test.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Shiny {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("--- the Shiny app said ---\n{log}");
        }
    }
}

fn spawn(dir: &Path, port: u16) -> Child {
    let log = File::create(dir.join("log")).unwrap();
    Command::new("Rscript")
        .arg("--vanilla")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/real/app.R"))
        .arg(port.to_string())
        .arg(dir.join("block"))
        .arg(DOWNLOAD_MB.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The period of [`sheen_tests::pattern`]: the app repeats what it reads.
fn block_len() -> usize {
    let block = 65_521;
    assert!(sheen_tests::is_pattern(block as u64, &sheen_tests::pattern(0, block)));
    block
}
