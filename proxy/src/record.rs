//! What the logs will say of one exchange, collected while it runs.

use std::cell::Cell;
use std::cell::RefCell;
use std::time::Instant;

use crate::config::UpstreamAddress;
use crate::log;

#[derive(Debug)]
pub struct Record {
    pub request: log::Request,
    pub begun: Instant,
    /// 0 until there is an answer.
    pub status: Cell<u16>,
    /// Bytes of the answer's body.
    pub sent: Cell<u64>,
    /// True exactly when the client may have bytes of an answer: no other can be given.
    pub answering: Cell<bool>,
    pub upstream: RefCell<Option<UpstreamAddress>>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            request: log::Request::default(),
            begun: Instant::now(),
            status: Cell::new(0),
            sent: Cell::new(0),
            answering: Cell::new(false),
            upstream: RefCell::new(None),
        }
    }
}

impl Record {
    /// Begins the next exchange.
    pub fn begin(&mut self) {
        self.request.clear();
        self.begun = Instant::now();
        self.status.set(0);
        self.sent.set(0);
        self.answering.set(false);
        self.upstream.replace(None);
    }

    /// True when a request has begun, so that there is something to log.
    pub fn has_request(&self) -> bool {
        !self.request.line().is_empty()
    }
}
