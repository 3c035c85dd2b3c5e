//! A receive that the ring carries out: the data comes with the wake-up, without a system call of its
//! own.
//!
//! It pins a buffer, so only busy connections have one under way (`tls::read`). Dropping one that is
//! under way is sound, but what had just arrived is lost: that is for connections that end
//! (invariant 10). To go on with the connection, [`Poster::cancel`] it and take the outcome.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use monoio::buf::IoBufMut;
use monoio::io::{CancelableAsyncReadRent, Canceller};

use super::socket::Socket;
use crate::buf::Buf;
use crate::limits::POSTED_RECEIVES_MAX;

thread_local! {
    /// Receives under way on this worker, those that were dropped and not yet cancelled included.
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
    /// Whether this worker's driver has a ring.
    static RING: Cell<bool> = const { Cell::new(false) };
}

/// Bytes received, behind what the buffer held; 0 at the end of the stream.
pub type Outcome = (io::Result<usize>, Buf);

/// What one connection needs to post and to cancel; nothing while it is idle.
#[derive(Default)]
pub struct Poster(Option<Canceller>);

/// A receive under way.
pub struct Posted(Pin<Box<dyn Future<Output = (io::Result<usize>, Lent)>>>);

impl Poster {
    /// Hands `buf` to the ring, to be filled once from `socket`. One at a time.
    #[allow(unsafe_code)]
    pub fn post(&mut self, socket: &Socket, buf: Buf) -> Posted {
        let handle = self.0.get_or_insert_default().handle();
        // SAFETY: the copy stands for `&mut`, which the runtime asks for and does not need: it is
        // never dropped, so the descriptor keeps one owner, and it is used only until the first
        // poll has cloned the descriptor. That poll is below, while `socket` is borrowed.
        let mut copy = ManuallyDrop::new(unsafe { std::ptr::read(socket.inner()) });
        let lent = Lent::new(buf);
        let mut outcome = Box::pin(async move { copy.cancelable_read(lent, handle).await });
        // Nothing is ready before the ring has been entered.
        let first = outcome.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(first.is_pending());
        Posted(outcome)
    }

    /// Asks for the end of the posted receive, if there is one; its outcome comes all the same, with
    /// what had arrived or with [`is_cancelled`].
    pub fn cancel(&mut self) {
        if let Some(canceller) = self.0.take() {
            drop(canceller.cancel());
        }
    }
}

impl Posted {
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Outcome> {
        self.0.as_mut().poll(context).map(|(received, mut lent)| (received, lent.take()))
    }
}

impl fmt::Debug for Poster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Poster")
    }
}

impl fmt::Debug for Posted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Posted")
    }
}

/// Whether this worker can post one more.
pub fn may_post() -> bool {
    RING.get() && UNDER_WAY.get() < POSTED_RECEIVES_MAX
}

/// Whether any is under way on this worker.
pub fn any_under_way() -> bool {
    UNDER_WAY.get() > 0
}

/// Whether an outcome says that it was cancelled before anything arrived.
pub fn is_cancelled(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::CANCELED.raw_os_error())
}

pub(super) fn allow(ring: bool) {
    RING.set(ring);
}

/// A buffer while the kernel may write to it.
#[derive(Debug)]
struct Lent(Buf);

impl Lent {
    fn new(buf: Buf) -> Self {
        UNDER_WAY.set(UNDER_WAY.get() + 1);
        Self(buf)
    }

    fn take(&mut self) -> Buf {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A thread that ends may drop it after its locals are gone.
        let _ = UNDER_WAY.try_with(|count| count.set(count.get() - 1));
    }
}

// SAFETY: the bytes are on the heap and stay where they are while the `Buf` is neither used nor
// dropped, and nobody but the runtime can reach it until the receive is over.
#[allow(unsafe_code)]
unsafe impl IoBufMut for Lent {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.spare().as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.0.spare().len()
    }

    unsafe fn set_init(&mut self, received: usize) {
        self.0.filled(received);
    }
}
