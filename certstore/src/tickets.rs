//! Session tickets: what lets a client resume without a signature

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::store::unix_now;

/// A ticketer with keys of its own, made at random and rotated every six hours; a ticket is good
/// for twelve. It keeps no state per session, so one serves all workers of a process and must be
/// made once: a ticket of another ticketer is no ticket. It knows nothing of certificates and is
/// untouched by their renewal, so sessions survive one.
pub fn ticketer() -> Arc<dyn ProducesTickets> {
    Ticketer::new().expect("the system's random source answers, or nothing here is safe")
}

/// The same keys, with tickets that are good for `lifetime` (whole seconds) and no longer, and never
/// for longer than those of `ticketer`.
pub fn limited(ticketer: Arc<dyn ProducesTickets>, lifetime: Duration) -> Arc<dyn ProducesTickets> {
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
    Arc::new(Limited { lifetime_s: seconds.min(ticketer.lifetime()), ticketer, now: unix_now })
}

/// No tickets: every connection has a handshake of its own.
pub fn none() -> Arc<dyn ProducesTickets> {
    Arc::new(Nothing)
}

/// Puts the time in front of what goes into a ticket.
#[derive(Debug)]
struct Limited {
    ticketer: Arc<dyn ProducesTickets>,
    lifetime_s: u32,
    /// Unix seconds.
    now: fn() -> i64,
}

impl ProducesTickets for Limited {
    fn enabled(&self) -> bool {
        self.ticketer.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.lifetime_s
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.ticketer.encrypt(&[&(self.now)().to_be_bytes(), plain].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let mut dated = self.ticketer.decrypt(ticket)?;
        let (made, _) = dated.split_first_chunk::<8>()?;
        let age_s = (self.now)().saturating_sub(i64::from_be_bytes(*made));
        if !(0..=i64::from(self.lifetime_s)).contains(&age_s) {
            return None;
        }
        dated.drain(..8);
        Some(dated)
    }
}

#[derive(Debug)]
struct Nothing;

impl ProducesTickets for Nothing {
    fn enabled(&self) -> bool {
        false
    }

    fn lifetime(&self) -> u32 {
        0
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limited_ticket_is_good_for_its_time_and_under_the_same_keys_alone() {
        let shared = ticketer();
        let at = |now: fn() -> i64| Limited { ticketer: shared.clone(), lifetime_s: 300, now };
        let ticket = at(|| 1_000).encrypt(b"session").unwrap();
        assert_eq!(at(|| 1_300).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(at(|| 1_301).decrypt(&ticket), None);
        assert_eq!(at(|| 999).decrypt(&ticket), None, "a clock that was set back");
        let other = Limited { ticketer: ticketer(), lifetime_s: 300, now: || 1_000 };
        assert_eq!(other.decrypt(&ticket), None);
        assert_eq!(limited(shared.clone(), Duration::MAX).lifetime(), shared.lifetime());
    }
}
