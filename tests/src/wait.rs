//! Waiting for a condition with a deadline: the only place in the tests where time passes.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen; a loaded machine is slow, not wrong.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Returns once `condition` holds; panics with `what` after [`DEADLINE`].
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(DEADLINE, condition), "after {DEADLINE:?} still waiting for: {what}");
}

/// Whether `condition` comes true within `limit`.
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Lets `span` go by, for scenarios whose subject is time itself (an idle connection, a slow
/// reader).
pub fn pass(span: Duration) {
    holds_within(span, || false);
}
