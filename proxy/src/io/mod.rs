//! The only rooms that know the runtime, sockets and `unsafe` (invariant 1).
//!
//! Every wait is for readiness, which may be dropped at any time; data moves by direct non-blocking
//! system calls. So no read, write or accept is ever in flight when a future is dropped (invariant
//! 10), the same code runs on io_uring and on epoll, and a waiting connection holds no buffer.

pub mod cpu;
pub mod listener;
pub mod notify;
pub mod runtime;
pub mod socket;
pub mod timer;
