//! Bytes from one socket to another through a pipe, without a visit to our memory.
//!
//! splice(2) is called directly and never waits: on the ring it would always run on a thread of its
//! own. The pipe is the bound of what a slow reader makes us hold.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, SpliceFlags};

use super::socket::{Socket, retry};
use crate::limits::{PIPE_BYTES, PIPES_PER_WORKER_MAX, SPARE_PIPES_MAX};

thread_local! {
    static SPARE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
    static IN_USE: Cell<usize> = const { Cell::new(0) };
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    bytes_max: usize,
}

/// A pipe of this worker, empty when it is lent.
///
/// Invariant: `ends` is `None` only while it is being dropped.
#[derive(Debug)]
pub struct Pipe {
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// `None` when this worker has lent all it may, or the kernel gives none: copying does as well.
    pub fn lend() -> Option<Self> {
        if IN_USE.get() >= PIPES_PER_WORKER_MAX {
            return None;
        }
        let ends = SPARE.with_borrow_mut(Vec::pop).or_else(|| Ends::new().ok())?;
        IN_USE.set(IN_USE.get() + 1);
        Some(Self { ends: Some(ends), held: 0 })
    }

    /// Bytes that went in and have not come out.
    pub fn held(&self) -> usize {
        self.held
    }

    /// True when no byte more goes in. A pipe is also full when its slots are, with fewer bytes.
    pub fn is_full(&self) -> bool {
        self.held >= self.ends().bytes_max
    }

    /// Moves up to `bytes` from `socket` into the pipe: how many, 0 at the end of the stream,
    /// `None` when there are none now or the pipe is full.
    pub fn fill(&mut self, socket: &Socket, bytes: usize) -> io::Result<Option<usize>> {
        let write = &self.ends().write;
        let moved = retry(|| rustix::pipe::splice(socket.fd(), None, write, None, bytes, FLAGS))?;
        self.held += moved.unwrap_or(0);
        Ok(moved)
    }

    /// Moves up to `bytes` that are in the pipe into `socket`: how many, `None` when it takes none
    /// now.
    pub fn drain(&mut self, socket: &Socket, bytes: usize) -> io::Result<Option<usize>> {
        debug_assert!(bytes > 0 && bytes <= self.held);
        let read = &self.ends().read;
        let moved = retry(|| rustix::pipe::splice(read, None, socket.fd(), None, bytes, FLAGS))?;
        self.held -= moved.unwrap_or(0);
        Ok(moved)
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("a pipe has its ends until it is dropped")
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // A thread that ends may drop pipes after its counters are gone.
        let _ = IN_USE.try_with(|count| count.set(count.get() - 1));
        // What is left in a pipe belongs to nobody.
        let Some(ends) = self.ends.take().filter(|_| self.held == 0) else { return };
        let _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.len() < SPARE_PIPES_MAX {
                spare.push(ends);
            }
        });
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Above the user's share of pipe memory the kernel keeps it small, which is slower only.
        let bytes_max = rustix::pipe::fcntl_setpipe_size(&write, PIPE_BYTES)
            .or_else(|_| rustix::pipe::fcntl_getpipe_size(&write))?;
        Ok(Self { read, write, bytes_max })
    }
}

const FLAGS: SpliceFlags = SpliceFlags::NONBLOCK.union(SpliceFlags::MOVE);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::config::Rung;
    use crate::io::runtime;

    fn pair() -> (Socket, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Socket::new(ours).unwrap(), theirs)
    }

    #[test]
    fn bytes_pass_and_the_end_is_seen() {
        runtime::run(Rung::Epoll, async {
            let ((from, mut source), (to, mut sink)) = (pair(), pair());
            let mut pipe = Pipe::lend().unwrap();
            assert_eq!(pipe.fill(&from, 10).unwrap(), None, "nothing there yet");
            source.write_all(b"twelve bytes").unwrap();
            assert_eq!(pipe.fill(&from, 10).unwrap(), Some(10), "no more than asked for");
            assert_eq!(pipe.held(), 10);
            assert_eq!(pipe.drain(&to, 10).unwrap(), Some(10));
            drop(source);
            assert_eq!(pipe.fill(&from, 10).unwrap(), Some(2));
            assert_eq!(pipe.drain(&to, 2).unwrap(), Some(2));
            assert_eq!(pipe.fill(&from, 10).unwrap(), Some(0));
            drop(to);
            let mut got = String::new();
            sink.read_to_string(&mut got).unwrap();
            assert_eq!(got, "twelve bytes");
        })
        .unwrap();
    }

    #[test]
    fn a_slow_reader_fills_the_pipe_and_no_more() {
        runtime::run(Rung::Epoll, async {
            let (from, mut source) = pair();
            source.set_nonblocking(true).unwrap();
            let mut pipe = Pipe::lend().unwrap();
            let mut passed = 0;
            loop {
                let sent = source.write(&[7; 4096]);
                passed += pipe.fill(&from, usize::MAX >> 1).unwrap().unwrap_or(0);
                if sent.is_err() {
                    break;
                }
            }
            assert_eq!(pipe.held(), passed);
            assert!(passed <= PIPE_BYTES, "{passed}");
        })
        .unwrap();
    }

    #[test]
    fn pipes_are_bounded_and_used_again_when_empty() {
        std::thread::spawn(|| {
            let lent: Vec<_> = std::iter::from_fn(Pipe::lend).collect();
            assert_eq!(lent.len(), PIPES_PER_WORKER_MAX);
            drop(lent);
            assert_eq!(SPARE.with_borrow(Vec::len), SPARE_PIPES_MAX);
            let mut soiled = Pipe::lend().unwrap();
            soiled.held = 1;
            drop(soiled);
            assert_eq!(SPARE.with_borrow(Vec::len), SPARE_PIPES_MAX - 1);
        })
        .join()
        .unwrap();
    }
}
