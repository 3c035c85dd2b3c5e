//! What these tests need of the machine: whether it is there, whose turn it is, and running a tool
//! to its end.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

/// A thing from Debian that `tests/run` installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Chromium,
    Curl,
    Openssl,
    /// R with the shiny package.
    Shiny,
    Testssl,
}

/// Whether all `parts` are there. Panics when one is missing, unless the environment allows that.
pub(crate) fn present(parts: &[Part]) -> bool {
    let missing: Vec<&str> = parts.iter().filter_map(|part| part.missing()).collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    let allowed = std::env::var("SHEEN_TESTS_WITHOUT_REAL_PARTS").is_ok_and(|word| word == "1");
    assert!(allowed, "not on this machine: {missing}; run tests/run, which installs it");
    eprintln!("skipped, not on this machine: {missing}");
    false
}

impl Part {
    /// The Debian package that is not installed.
    fn missing(self) -> Option<&'static str> {
        let programs: &[(&str, &'static str)] = match self {
            Self::Chromium => &[
                ("chromium", "chromium"),
                ("chromedriver", "chromium-driver"),
                // For the hash of the authority's key that Chromium is told.
                ("openssl", "openssl"),
            ],
            Self::Curl => &[("curl", "curl")],
            Self::Openssl => &[("openssl", "openssl")],
            Self::Shiny => &[("Rscript", "r-base-core")],
            Self::Testssl => &[("testssl", "testssl.sh"), ("openssl", "openssl")],
        };
        let absent = programs.iter().find(|(program, _)| !on_path(program));
        if let Some((_, package)) = absent {
            return Some(package);
        }
        (self == Self::Shiny && !has_shiny()).then_some("r-cran-shiny")
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn has_shiny() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    const ASK: &str = "quit(status = !requireNamespace('shiny', quietly = TRUE))";
    *FOUND.get_or_init(|| run(60, "Rscript", &["--vanilla", "-e", ASK], "").status.success())
}

static TURNS: RwLock<()> = RwLock::new(());

/// The turn of a test that needs `parts` and that others may run beside, held until dropped. `None`
/// and panics as [`present`] has it.
pub(crate) fn beside_others(parts: &[Part]) -> Option<RwLockReadGuard<'static, ()>> {
    present(parts).then(|| TURNS.read().unwrap_or_else(|failed| failed.into_inner()))
}

/// As [`beside_others`], for a test that measures against its own clock and would take a busy
/// machine for a fault.
pub(crate) fn alone(parts: &[Part]) -> Option<RwLockWriteGuard<'static, ()>> {
    present(parts).then(|| TURNS.write().unwrap_or_else(|failed| failed.into_inner()))
}

/// What a tool said and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

/// Runs `program` to its end, which must come within `secs`.
pub(crate) fn run(secs: u32, program: &str, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new("timeout")
        .arg(secs.to_string())
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feed = thread::spawn(move || {
        // A tool may end without reading its input.
        let _ = stdin.write_all(input.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    assert_ne!(output.status.code(), Some(124), "{program} {arguments:?} took over {secs} s");
    Ran {
        status: output.status,
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ran {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    /// The output of a tool that ended well.
    pub(crate) fn good(&self) -> String {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.text(), self.err);
        self.text()
    }
}

/// Where to keep what a run leaves for people to look at.
pub(crate) fn artefact(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let target = exe.ancestors().nth(3).expect("target/PROFILE/deps/TEST");
    let folder = target.join("test-artefacts");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// The checksum that `tool` (md5sum, sha256sum) gives for a file, in hex.
pub(crate) fn checksum(tool: &str, path: &std::path::Path) -> String {
    let said = run(60, tool, &[path.to_str().unwrap()], "").good();
    said.split_whitespace().next().unwrap().to_owned()
}
