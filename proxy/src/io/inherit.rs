//! Listening sockets that pass from one process to the next: duplicates that survive an exec, and
//! taking them over.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt;

/// Duplicates without close-on-exec: a program started while they live has them under the same
/// numbers.
pub fn lend<'a>(sockets: impl Iterator<Item = &'a OwnedFd>) -> io::Result<Vec<OwnedFd>> {
    sockets.map(|socket| Ok(rustix::io::dup(socket)?)).collect()
}

/// The numbers of lent sockets for the environment, as nginx writes them: `5;6;`.
pub fn list(lent: &[OwnedFd]) -> String {
    lent.iter().map(|socket| format!("{};", socket.as_raw_fd())).collect()
}

/// Takes over the listening sockets whose numbers are in `list`. To be called first of all, before
/// this process opens anything; a second call takes nothing.
///
/// Errors: the first number that is no listening socket of ours.
#[allow(unsafe_code)]
pub fn take(list: &str) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let mut numbers: Vec<RawFd> = Vec::new();
    for text in list.split(';').filter(|text| !text.is_empty()) {
        let wrong = |why: &str| io::Error::other(format!("`{text}` {why}"));
        let number = text.parse().map_err(|_| wrong("is no descriptor"))?;
        if number <= STDERR || numbers.contains(&number) {
            return Err(wrong("is a descriptor that cannot be inherited"));
        }
        let is_socket = fs::read_link(format!("/proc/self/fd/{number}"))
            .is_ok_and(|kind| kind.to_string_lossy().starts_with("socket:"));
        if !is_socket {
            return Err(wrong("is no open socket"));
        }
        numbers.push(number);
    }
    let own = |number: RawFd| {
        // SAFETY: the descriptor is open, each number occurs once, this runs once and before this
        // process has opened anything: so it came through the exec and nobody else here owns it.
        unsafe { OwnedFd::from_raw_fd(number) }
    };
    let sockets: Vec<OwnedFd> = numbers.into_iter().map(own).collect();
    for socket in &sockets {
        fcntl_setfd(socket, FdFlags::CLOEXEC)?;
        if !sockopt::socket_acceptconn(socket)? {
            return Err(io::Error::other(format!("{socket:?} does not listen")));
        }
    }
    Ok(sockets)
}

/// A duplicate of standard input, which a program that was started for the background gets its
/// way to speak to its starter by.
pub fn stdin() -> io::Result<OwnedFd> {
    let stdin: BorrowedFd<'_> = rustix::stdio::stdin();
    Ok(rustix::io::fcntl_dupfd_cloexec(stdin, STDERR + 1)?)
}

const STDERR: RawFd = 2;
