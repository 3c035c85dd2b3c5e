//! The only rooms that know the runtime, sockets and `unsafe` (invariant 1).
//!
//! Waits are for readiness, which may be dropped at any time and holds no buffer; data moves by direct
//! non-blocking system calls. So the same code runs on io_uring and on epoll. On a ring, busy
//! connections wait for the data itself: `receive`.

pub mod cpu;
pub mod inherit;
pub mod ktls;
pub mod listener;
pub mod notify;
pub mod receive;
pub mod runtime;
pub mod socket;
pub mod splice;
pub mod timer;
