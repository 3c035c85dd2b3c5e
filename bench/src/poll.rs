//! Readiness for many sockets on one thread: epoll, edge-triggered, registered once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Self { epoll, events: Vec::with_capacity(EVENTS_PER_TURN) })
    }

    pub(crate) fn add(&self, socket: impl AsFd, key: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN
            | epoll::EventFlags::OUT
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(key), flags)?)
    }

    /// Keys of sockets on which something happened, and whether it was more than room to write.
    /// `turn` is a list that the caller lends and gets back filled.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
        turn: &mut Vec<(u64, bool)>,
    ) -> io::Result<()> {
        let timeout = timeout.map(|time| Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: time.subsec_nanos().into(),
        });
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        turn.clear();
        turn.extend(self.events.iter().map(|event| {
            let flags = event.flags;
            (event.data.u64(), flags != epoll::EventFlags::OUT)
        }));
        Ok(())
    }
}

/// Values by a key that is never used again, so that late events find nothing.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// The key of the next value.
    pub(crate) fn reserve(&mut self) -> u64 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() as u32 - 1
        });
        u64::from(self.slots[index as usize].0) << 32 | u64::from(index)
    }

    pub(crate) fn take(&mut self, key: u64) -> Option<T> {
        let (generation, value) = self.slots.get_mut(key as u32 as usize)?;
        if u64::from(*generation) == key >> 32 { value.take() } else { None }
    }

    pub(crate) fn put(&mut self, key: u64, value: T) {
        self.slots[key as u32 as usize].1 = Some(value);
    }

    /// The key is used up; its value has been taken or was never put.
    pub(crate) fn retire(&mut self, key: u64) {
        let index = key as u32;
        self.slots[index as usize].0 += 1;
        self.free.push(index);
    }
}

const EVENTS_PER_TURN: usize = 256;
