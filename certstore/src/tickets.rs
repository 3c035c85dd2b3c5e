//! Session tickets: what lets a client resume without a signature

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

/// A ticketer with keys of its own, made at random and rotated every six hours; a ticket is good
/// for twelve. It keeps no state per session, so one serves all workers of a process and must be
/// made once: a ticket of another ticketer is no ticket. It knows nothing of certificates and is
/// untouched by their renewal, so sessions survive one.
pub fn ticketer() -> Arc<dyn ProducesTickets> {
    Ticketer::new().expect("the system's random source answers, or nothing here is safe")
}
