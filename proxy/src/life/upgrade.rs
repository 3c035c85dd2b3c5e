//! USR2: a new binary takes the listening sockets over while this one goes on.
//!
//! The sockets pass by inheritance, their numbers in an environment variable, as in nginx. Both
//! processes accept until the old one is told to end or to rest.

use std::env;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, getppid};

use super::daemon;
use super::privileges::Privileges;
use super::voice::Voice;
use crate::config::{Level, ListenAddress};
use crate::io::{inherit, listener};

/// What the process before us has left.
#[derive(Debug)]
pub struct Legacy {
    /// In the order in which they were bound.
    pub sockets: Vec<(ListenAddress, OwnedFd)>,
    /// That process.
    pub predecessor: Option<Pid>,
}

/// Takes over what the environment names; nothing in a process that was started by itself. To be
/// called before this process opens anything.
pub fn inherit() -> io::Result<Legacy> {
    let Some(list) = env::var_os(VARIABLE) else {
        return Ok(Legacy { sockets: Vec::new(), predecessor: None });
    };
    let mut sockets = Vec::new();
    for socket in inherit::take(&list.to_string_lossy())? {
        sockets.push((listener::local_address(socket.as_fd())?, socket));
    }
    Ok(Legacy { sockets, predecessor: getppid() })
}

/// True exactly while the process that we were started by as its successor lives.
pub fn is_alive(predecessor: Option<Pid>) -> bool {
    predecessor.is_some() && getppid() == predecessor
}

/// The program file to start at an upgrade: the path we were started by, not the file, which will
/// have been replaced. To be asked at the start.
pub fn program() -> io::Result<PathBuf> {
    let name = PathBuf::from(env::args_os().next().unwrap_or_default());
    if name.components().count() > 1 {
        return std::path::absolute(name);
    }
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(&name)).find(|p| p.is_file());
    found.map_or_else(env::current_exe, Ok)
}

/// Starts the next binary with our arguments and these sockets, and tells `ended` how it ended.
/// Returns its process id.
pub fn start<'a>(
    program: &Path,
    sockets: impl Iterator<Item = &'a OwnedFd>,
    privileges: Privileges,
    voice: Option<&Voice>,
    ended: impl FnOnce(Option<ExitStatus>) + Send + 'static,
) -> io::Result<u32> {
    let lent = inherit::lend(sockets)?;
    let mut command = Command::new(program);
    command.args(env::args_os().skip(1)).env(VARIABLE, inherit::list(&lent));
    daemon::unmark(&mut command);
    privileges.hand_on(&mut command);
    if voice.is_some() {
        command.stderr(Stdio::piped());
    }
    let mut child = command.spawn()?;
    let pid = child.id();
    let voice = voice.cloned();
    let follow = move || {
        // Until it is ready; then it writes its own log.
        if let (Some(words), Some(voice)) = (child.stderr.take(), voice) {
            for line in BufReader::new(words).lines().map_while(Result::ok) {
                voice.say(Level::Notice, format_args!("new binary: {line}"));
            }
        }
        ended(child.wait().ok());
    };
    let name = "sheen-heir".to_owned();
    privileges.without(move || thread::Builder::new().name(name).spawn(follow))?;
    Ok(pid)
}

const VARIABLE: &str = "SHEEN";
