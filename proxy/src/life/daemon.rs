//! Into the background: the program starts itself once more and waits until that one is ready.
//!
//! A process with threads must not fork; so this happens first of all, and by exec. The second
//! process keeps the terminal's standard error until everything listens: whoever started it reads
//! there what is wrong.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use crate::io::inherit;

/// The way back to the process that started us for the background.
#[derive(Debug)]
pub struct Starter(UnixStream);

/// Starts this program once more and waits until it is ready: 0, or has said why it is not: 1.
pub fn detach() -> io::Result<ExitCode> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let mut args = std::env::args_os();
    // By its path, so that it has its name in the list of processes.
    let program = std::env::current_exe().ok().filter(|path| path.is_file());
    let mut command = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()));
    if let Some(name) = args.next() {
        command.arg0(name);
    }
    let spawned = command.args(args).env(MARK, "1").stdin(OwnedFd::from(theirs)).spawn();
    // With the command goes our copy of its end.
    drop(command);
    let mut child = spawned?;
    if ours.read(&mut [0])? == 1 {
        return Ok(ExitCode::SUCCESS);
    }
    child.wait()?;
    Ok(ExitCode::FAILURE)
}

/// In the process that [`detach`] started: leaves the terminal's session. `None` in any other.
pub fn begin() -> io::Result<Option<Starter>> {
    if std::env::var_os(MARK).is_none() {
        return Ok(None);
    }
    let starter = UnixStream::from(inherit::stdin()?);
    rustix::stdio::dup2_stdin(null()?)?;
    rustix::process::setsid()?;
    Ok(Some(Starter(starter)))
}

impl Starter {
    pub fn ready(mut self) {
        // One that has not waited is of no interest.
        let _ = self.0.write(&[1]);
    }
}

/// From here on nobody reads what is printed.
pub fn silence() -> io::Result<()> {
    let null = null()?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// For a program that is started from here: it is not in [`detach`]'s place.
pub fn unmark(command: &mut Command) {
    command.env_remove(MARK).stdin(Stdio::null());
}

fn null() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/null")
}

const MARK: &str = "SHEEN_DAEMON";
