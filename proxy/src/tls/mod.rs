//! TLS of the client side: the protocol without sockets, then the stream over a socket.

pub mod config;
#[cfg(test)]
mod ends;
mod kernel;
pub mod ktls;
pub mod lean;
mod names;
mod read;
mod records;
pub mod session;
pub mod stream;
