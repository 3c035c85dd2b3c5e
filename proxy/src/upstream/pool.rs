//! Idle connections of one worker to the apps, the most recently used first: its data is still in
//! the caches, and the others age out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::config::UpstreamAddress;
use crate::limits::UPSTREAM_IDLE_CONNECTIONS_MAX;
use crate::tls::stream::Stream;

#[derive(Debug, Default)]
pub struct Pool {
    idle: RefCell<HashMap<UpstreamAddress, Vec<Idle>, RandomState>>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since_ms: u64,
}

impl Pool {
    /// A connection to one of `addresses`, tried in their order, on which the app has neither
    /// closed nor sent anything.
    ///
    /// Bytes that nobody asked for would be taken for the next answer, and given to somebody else;
    /// and a request that can't be repeated must not meet a dead connection: that is `surely`.
    pub fn take(
        &self,
        addresses: &[UpstreamAddress],
        surely: bool,
    ) -> Option<(Stream, UpstreamAddress)> {
        let mut idle = self.idle.borrow_mut();
        for address in addresses {
            let Some(streams) = idle.get_mut(address) else { continue };
            while let Some(Idle { stream, .. }) = streams.pop() {
                if stream.is_silent(surely) {
                    return Some((stream, address.clone()));
                }
            }
        }
        None
    }

    /// Keeps a connection whose last answer was complete.
    pub fn put(&self, address: UpstreamAddress, stream: Stream, now_ms: u64) {
        let mut idle = self.idle.borrow_mut();
        let streams = idle.entry(address).or_default();
        if streams.len() < UPSTREAM_IDLE_CONNECTIONS_MAX {
            stream.listen();
            streams.push(Idle { stream, since_ms: now_ms });
        }
    }

    /// Drops what the app has closed and what was idle for longer than `limit`.
    pub fn sweep(&self, now_ms: u64, limit: Duration) {
        let limit_ms = limit.as_millis() as u64;
        self.idle.borrow_mut().retain(|_, streams| {
            streams
                .retain(|idle| idle.since_ms + limit_ms > now_ms && idle.stream.is_silent(false));
            !streams.is_empty()
        });
    }

    pub fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}
