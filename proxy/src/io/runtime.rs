//! The ladder of drivers: the best way to wait that this kernel allows.

use std::future::{Future, poll_fn};
use std::io;
use std::task::Poll;

use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::receive;
use crate::config::Rung;

/// Runs `main` to its end on this thread, on a driver of `rung`.
///
/// Errors: what the kernel said when the ring or the epoll instance could not be made.
pub fn run<F: Future>(rung: Rung, main: F) -> io::Result<F::Output> {
    receive::allow(rung != Rung::Epoll);
    if rung == Rung::Epoll {
        let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build()?;
        return Ok(runtime.block_on(main));
    }
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(RING_ENTRIES)
        .uring_builder(ring_flags(rung))
        .enable_timer()
        .build()?;
    Ok(runtime.block_on(main))
}

/// Starts a task on this worker. It ends by itself; nobody waits for it.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    drop(monoio::spawn(task));
}

/// Lets every other task that is ready run first.
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The first rung this kernel allows, and why each better one was passed over.
pub fn best() -> (Rung, Vec<(Rung, io::Error)>) {
    let mut refused = Vec::new();
    for rung in Rung::LADDER {
        match probe(rung) {
            Ok(()) => return (rung, refused),
            Err(error) => refused.push((rung, error)),
        }
    }
    (Rung::Epoll, refused)
}

/// Whether `rung` works here; it is tried for real, with one trip through its event loop.
pub fn probe(rung: Rung) -> io::Result<()> {
    // On a thread of its own: a runtime leaves thread-local state behind.
    let trial = std::thread::spawn(move || {
        run(rung, async { monoio::time::sleep(std::time::Duration::from_millis(1)).await })
    });
    trial.join().unwrap_or_else(|_| Err(io::Error::other("the driver failed")))
}

fn ring_flags(rung: Rung) -> io_uring::Builder {
    let mut flags = io_uring::IoUring::builder();
    match rung {
        Rung::DeferTaskrun => {
            flags.setup_single_issuer().setup_defer_taskrun();
        }
        Rung::CoopTaskrun => {
            flags.setup_coop_taskrun();
        }
        Rung::IoUring | Rung::Epoll => {}
    }
    flags.dontfork().setup_cqsize(COMPLETION_ENTRIES);
    flags
}

const RING_ENTRIES: u32 = 1024;
/// A burst of readiness on thousands of WebSockets must not overflow the completion queue.
const COMPLETION_ENTRIES: u32 = 16384;
