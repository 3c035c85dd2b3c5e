//! How many connections there may be: in all, and from one address.
//!
//! Shared by all workers without a lock. Addresses are counted in two tables of counters, each
//! under a hash of its own; the smaller of the two is at least the true count, and above it only
//! when an address meets crowded others in both tables.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug)]
pub struct Admission {
    all: AtomicU32,
    all_max: AtomicU32,
    per_address_max: AtomicU32,
    hashers: [RandomState; 2],
    counters: [Box<[AtomicU32]>; 2],
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    All,
    Address,
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    slots: Option<[usize; 2]>,
}

impl Admission {
    pub fn new() -> Arc<Self> {
        let table = || (0..SLOTS).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self {
            all: AtomicU32::new(0),
            all_max: AtomicU32::new(u32::MAX),
            per_address_max: AtomicU32::new(u32::MAX),
            hashers: [RandomState::new(), RandomState::new()],
            counters: [table(), table()],
        })
    }

    /// Takes effect for connections that come from now on.
    pub fn set_limits(&self, all_max: u32, per_address_max: u32) {
        self.all_max.store(all_max, Ordering::Relaxed);
        self.per_address_max.store(per_address_max, Ordering::Relaxed);
    }

    /// `address`: `None` for peers that stand for many clients: only the total counts for them.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Full> {
        let mut permit = Permit { admission: self.clone(), slots: None };
        if self.all.fetch_add(1, Ordering::Relaxed) >= self.all_max.load(Ordering::Relaxed) {
            return Err(Full::All);
        }
        if let Some(address) = address {
            permit.count_address(address)?;
        }
        Ok(permit)
    }

    fn take_slots(&self, address: IpAddr) -> ([usize; 2], bool) {
        let slots = [0, 1].map(|table| self.hashers[table].hash_one(address) as usize % SLOTS);
        let counts =
            [0, 1].map(|table| self.counters[table][slots[table]].fetch_add(1, Ordering::Relaxed));
        (slots, counts[0].min(counts[1]) < self.per_address_max.load(Ordering::Relaxed))
    }

    pub fn count(&self) -> u32 {
        self.all.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Counts the connection for the address of its client too, once that is known.
    pub fn count_address(&mut self, address: IpAddr) -> Result<(), Full> {
        debug_assert!(self.slots.is_none(), "a connection has one client");
        let (slots, room) = self.admission.take_slots(address);
        self.slots = Some(slots);
        if room { Ok(()) } else { Err(Full::Address) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.all.fetch_sub(1, Ordering::Relaxed);
        for (table, slot) in self.slots.iter().flatten().enumerate() {
            self.admission.counters[table][*slot].fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counters of one table: 64 KiB.
const SLOTS: usize = 16384;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_permits_come_back() {
        let admission = Admission::new();
        admission.set_limits(3, 2);
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let first = admission.admit(Some(a)).unwrap();
        let _second = admission.admit(Some(a)).unwrap();
        assert_eq!(admission.admit(Some(a)).unwrap_err(), Full::Address);
        let _third = admission.admit(Some(b)).unwrap();
        assert_eq!(admission.admit(Some(b)).unwrap_err(), Full::All);
        drop(first);
        assert_eq!(admission.count(), 2);
        assert!(admission.admit(None).is_ok());
        assert!(admission.admit(Some(a)).is_ok());
    }
}
