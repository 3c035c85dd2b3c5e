//! Waking a worker from another thread: one byte through a socket pair.
//!
//! The runtime's own wakers must not cross threads.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;

use super::socket::Socket;

/// The control thread's end.
#[derive(Debug)]
pub struct Ringer(UnixStream);

/// The worker's end.
#[derive(Debug)]
pub struct Bell(UnixStream);

pub fn pair() -> io::Result<(Ringer, Bell)> {
    let (ringer, bell) = UnixStream::pair()?;
    ringer.set_nonblocking(true)?;
    bell.set_nonblocking(true)?;
    Ok((Ringer(ringer), Bell(bell)))
}

impl Ringer {
    /// A full pipe already wakes the worker, and a closed one means that it has ended.
    pub fn ring(&self) {
        let _ = (&self.0).write(&[1]);
    }
}

impl Bell {
    pub fn attach(self) -> io::Result<Socket> {
        Socket::new(self.0)
    }
}
