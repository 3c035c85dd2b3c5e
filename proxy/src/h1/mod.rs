//! HTTP/1 as bytes in, values and bytes out: no socket, no clock.

pub mod chunked;
pub mod framing;
pub mod head;
pub mod kept;
pub mod name;
pub mod rewrite;
pub mod target;
pub mod websocket;
