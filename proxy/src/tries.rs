//! What one request has asked of the addresses of its upstream: for `$upstream_addr`,
//! `$upstream_status`, `$upstream_response_time` and their kin, and for the error log.

use std::cell::{Cell, Ref, RefCell};
use std::time::Instant;

use crate::config::UpstreamAddress;
use crate::limits::TRIES_MAX;

/// The attempts of one request, in their order.
#[derive(Debug, Default)]
pub struct Tries {
    attempts: RefCell<Vec<Attempt>>,
    /// Somebody reads how long they took: the clock is not asked for nobody.
    is_timed: Cell<bool>,
    /// The next attempt is the first of another location's.
    turns: Cell<bool>,
}

/// One attempt. Times are in milliseconds since it began; what did not come to pass is `None`.
#[derive(Debug)]
pub struct Attempt {
    pub address: UpstreamAddress,
    /// An internal redirect lies before it, to where another app is asked.
    pub is_elsewhere: bool,
    begun: Option<Instant>,
    pub connect_ms: Option<u64>,
    pub header_ms: Option<u64>,
    pub response_ms: Option<u64>,
    pub status: Option<u16>,
    /// Heads and bodies with their framing.
    pub received: u64,
    pub sent: u64,
    /// Bytes of the answer's body, with its framing, as nginx counts them.
    pub body: u64,
}

impl Tries {
    pub fn clear(&self) {
        self.attempts.borrow_mut().clear();
        self.is_timed.set(false);
        self.turns.set(false);
    }

    /// Whether the attempts from now on are timed.
    pub fn time(&self, is_timed: bool) {
        self.is_timed.set(is_timed);
    }

    /// Gives back what an idle or long-lived connection does not need.
    pub fn shrink(&self) {
        self.attempts.borrow_mut().shrink_to_fit();
    }

    /// A location is about to ask its app.
    pub fn turn(&self) {
        self.turns.set(!self.attempts.borrow().is_empty());
    }

    /// A connection is about to be made, or taken from the pool.
    pub fn begin(&self, address: &UpstreamAddress) {
        let mut tries = self.attempts.borrow_mut();
        if tries.len() < TRIES_MAX {
            tries.push(Attempt {
                address: address.clone(),
                is_elsewhere: self.turns.take(),
                begun: self.is_timed.get().then(Instant::now),
                connect_ms: None,
                header_ms: None,
                response_ms: None,
                status: None,
                received: 0,
                sent: 0,
                body: 0,
            });
        }
    }

    pub fn connected(&self) {
        self.last(|attempt| attempt.connect_ms = attempt.elapsed_ms());
    }

    /// A head of so many bytes has come; `status` of the one that is passed on.
    pub fn head(&self, bytes: usize, status: Option<u16>) {
        self.last(|attempt| {
            attempt.received += bytes as u64;
            if status.is_some() {
                attempt.status = status;
                attempt.header_ms = attempt.elapsed_ms();
            }
        });
    }

    /// So much of the answer's body has come.
    pub fn body(&self, bytes: u64) {
        self.last(|attempt| {
            attempt.received += bytes;
            attempt.body = bytes;
        });
    }

    /// The attempt is over, and so many bytes went to the app.
    pub fn end(&self, sent: u64) {
        self.last(|attempt| {
            attempt.sent = sent;
            attempt.response_ms = attempt.elapsed_ms();
        });
    }

    /// The attempt came to nothing; the status that says why, if it was not the client's doing.
    pub fn fail(&self, status: Option<u16>) {
        self.last(|attempt| {
            attempt.status = attempt.status.or(status);
            attempt.response_ms = attempt.response_ms.or_else(|| attempt.elapsed_ms());
        });
    }

    /// What a tunnel moved, at its end.
    pub fn tunnelled(&self, up: u64, down: u64) {
        self.last(|attempt| {
            attempt.received += down;
            attempt.sent += up;
            attempt.response_ms = attempt.elapsed_ms();
        });
    }

    pub fn all(&self) -> Ref<'_, [Attempt]> {
        Ref::map(self.attempts.borrow(), Vec::as_slice)
    }

    /// Where the last one went.
    pub fn address(&self) -> Option<Ref<'_, UpstreamAddress>> {
        Ref::filter_map(self.attempts.borrow(), |tries| Some(&tries.last()?.address)).ok()
    }

    fn last(&self, change: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.attempts.borrow_mut().last_mut() {
            change(attempt);
        }
    }
}

impl Attempt {
    fn elapsed_ms(&self) -> Option<u64> {
        self.begun.and_then(|begun| u64::try_from(begun.elapsed().as_millis()).ok())
    }
}
