//! The integration tests: the real binary, raw bytes in, raw bytes out, one scenario a function.
#![allow(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

mod framing;
mod framing_bodies;
mod pipelining;

mod bodies;
mod interim;
mod streaming;

mod headers;
mod hop_by_hop;
mod hsts;
mod redirect;
mod routing;

mod tunnels;
mod websocket;

mod deadlines;
mod limits;
mod upstream;

mod certificates;
mod tls;
mod tls_records;

mod command_line;
mod logs;
mod regression;
mod rungs;
mod signals;

mod nginx_conf;

mod engine;
mod engine_fields;
mod fuzz;
mod tidy;
