//! A byte buffer that belongs to one connection while it holds data and to its worker's pool while
//! it does not.
//!
//! ```text
//!   | headroom | data ........ | tail |
//!              start           end    capacity
//! ```
//! Headroom lets a rewritten head, or a chunk-size line, go in front of a body that stays where it
//! was received. An empty buffer owns no memory, so an idle connection holds none (invariant 9).

use std::cell::RefCell;
use std::fmt;
use std::mem;

use crate::limits::{BUF_BYTES, HEADROOM_BYTES, POSTED_RECEIVES_MAX, RECORD_BUF_BYTES};

thread_local! {
    /// Spare memory of [`BUF_BYTES`], for large bodies.
    static POOL: Pool = const { RefCell::new(Vec::new()) };
    /// Spare memory of [`RECORD_BUF_BYTES`], for all else.
    static RECORD_POOL: Pool = const { RefCell::new(Vec::new()) };
}

type Pool = RefCell<Vec<Vec<u8>>>;

/// See the module's picture.
///
/// Invariant: `start <= end <= bytes.len()`, and `bytes` is empty when `start == end` after a
/// `consume`.
#[derive(Default)]
pub struct Buf {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buf {
    /// A buffer without memory.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0, end: 0 }
    }

    /// An empty buffer with room for one record, to be posted to the ring.
    pub fn for_record() -> Self {
        Self { bytes: take(RECORD_BUF_BYTES), start: HEADROOM_BYTES, end: HEADROOM_BYTES }
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// At least `want` free bytes behind the data, to be filled and then announced by
    /// [`Buf::filled`].
    pub fn space(&mut self, want: usize) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = take(want);
            self.start = HEADROOM_BYTES;
            self.end = HEADROOM_BYTES;
        }
        if self.bytes.len() - self.end < want {
            self.make_room(0, want);
        }
        &mut self.bytes[self.end..]
    }

    /// The free bytes behind the data, as many as there are.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// `n` bytes of [`Buf::space`] or [`Buf::spare`] now hold data.
    pub fn filled(&mut self, n: usize) {
        debug_assert!(n <= self.bytes.len() - self.end);
        self.end += n;
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Drops `n` bytes from the front; the memory goes back to the pool with the last one.
    pub fn consume(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.start += n;
        if self.start == self.end {
            self.clear();
        }
    }

    /// Keeps the first `n` bytes alone.
    pub fn truncate(&mut self, n: usize) {
        debug_assert!(n <= self.len());
        self.end = self.start + n;
    }

    pub fn clear(&mut self) {
        self.start = 0;
        self.end = 0;
        give_back(mem::take(&mut self.bytes));
    }

    /// Puts `new` in the place of the first `old` bytes. What follows them stays where it is as
    /// long as the headroom suffices.
    pub fn replace_front(&mut self, old: usize, new: &[u8]) {
        debug_assert!(old <= self.len());
        self.start += old;
        if self.start < new.len() {
            self.make_room(new.len(), 0);
        }
        self.start -= new.len();
        self.bytes[self.start..self.start + new.len()].copy_from_slice(new);
    }

    /// Moves the data so that `front` bytes before it and `back` behind it are free.
    fn make_room(&mut self, front: usize, back: usize) {
        let front = front.max(HEADROOM_BYTES);
        let (start, len) = (self.start, self.len());
        if front + len + back <= self.bytes.len() {
            self.bytes.copy_within(start..start + len, front);
        } else {
            let mut larger = take((len + back).max(2 * len) + front);
            larger[front..front + len].copy_from_slice(&self.bytes[start..start + len]);
            give_back(mem::replace(&mut self.bytes, larger));
        }
        self.start = front;
        self.end = front + len;
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        give_back(mem::take(&mut self.bytes));
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes are somebody's plaintext: lengths only.
        write!(f, "Buf({} bytes)", self.len())
    }
}

/// Memory for at least `want` data bytes: from the pool unless it is unusually large.
fn take(want: usize) -> Vec<u8> {
    if want <= RECORD_BUF_BYTES {
        let pooled = RECORD_POOL.with_borrow_mut(Vec::pop);
        pooled.unwrap_or_else(|| vec![0; POOLED_RECORD_BYTES])
    } else if want <= BUF_BYTES + HEADROOM_BYTES {
        let pooled = POOL.with_borrow_mut(Vec::pop);
        pooled.unwrap_or_else(|| vec![0; POOLED_BYTES])
    } else {
        vec![0; want + 2 * HEADROOM_BYTES]
    }
}

fn give_back(bytes: Vec<u8>) {
    let (pool, max) = match bytes.len() {
        POOLED_BYTES => (&POOL, POOL_BUFFERS_MAX),
        POOLED_RECORD_BYTES => (&RECORD_POOL, POSTED_RECEIVES_MAX),
        _ => return,
    };
    // A thread that ends may drop buffers after its pool is gone.
    let _ = pool.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < max {
            pool.push(bytes);
        }
    });
}

/// Lets go of half of the spare memory that a burst has left behind; called once a tick.
pub fn trim() {
    for (pool, least) in [(&POOL, POOL_BUFFERS_MIN), (&RECORD_POOL, POOL_BUFFERS_MAX)] {
        pool.with_borrow_mut(|pool| pool.truncate((pool.len() / 2).max(least)));
    }
}

const POOLED_BYTES: usize = HEADROOM_BYTES + BUF_BYTES + HEADROOM_BYTES;
const POOLED_RECORD_BYTES: usize = HEADROOM_BYTES + RECORD_BUF_BYTES;
/// Spare buffers that a worker keeps while it is busy: 8 MiB of the large ones, 1 MiB of the small.
const POOL_BUFFERS_MAX: usize = 64;
/// Large ones that it keeps at rest: 1 MiB.
const POOL_BUFFERS_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_buffers_own_nothing_and_memory_is_reused() {
        let mut buf = Buf::new();
        assert_eq!(buf.bytes.capacity(), 0);
        buf.extend(b"abc");
        let address = buf.bytes.as_ptr();
        buf.consume(3);
        assert_eq!(buf.bytes.capacity(), 0);
        buf.extend(b"d");
        assert_eq!(buf.bytes.as_ptr(), address, "the pool is last in, first out");
    }

    #[test]
    fn a_new_front_goes_into_the_headroom() {
        let mut buf = Buf::new();
        buf.extend(b"old head|body");
        let body = buf.bytes.as_ptr().wrapping_add(buf.start + 9);
        buf.replace_front(9, &[b'x'; 100]);
        assert_eq!(buf.len(), 104);
        assert_eq!(&buf.data()[100..], b"body");
        assert_eq!(buf.data()[100..].as_ptr(), body, "the body did not move");
    }

    #[test]
    fn a_front_larger_than_the_headroom_moves_the_body() {
        let mut buf = Buf::new();
        buf.extend(b"h|body");
        let front = vec![b'y'; 3 * BUF_BYTES];
        buf.replace_front(2, &front);
        assert_eq!(buf.len(), front.len() + 4);
        assert_eq!(&buf.data()[front.len()..], b"body");
    }

    #[test]
    fn space_grows_beyond_the_pooled_size() {
        let mut buf = Buf::new();
        let long: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
        for piece in long.chunks(777) {
            buf.extend(piece);
        }
        assert_eq!(buf.data(), &long[..]);
        buf.consume(199_999);
        assert_eq!(buf.data(), &long[199_999..]);
        assert!(buf.space(100_000).len() >= 100_000);
        assert_eq!(buf.data(), &long[199_999..]);
    }
}
