//! TLS of the client side: the protocol without sockets, then the stream over a socket.

pub mod config;
mod kernel;
pub mod ktls;
mod read;
pub mod session;
pub mod stream;
