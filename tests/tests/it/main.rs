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
mod pace;
mod upstream;

mod certificates;
mod tls;
mod tls_records;

mod background;
mod command_line;
mod listeners;
mod logs;
mod nginx_flags;
mod privileges;
mod regression;
mod rungs;
mod signals;
mod upgrade;

mod access_logs;
mod nginx_answers;
mod nginx_conf;
mod nginx_connections;
mod nginx_listen;
mod nginx_tls;
mod real_ip;
mod refusals;
mod site;
mod variables;

mod file_sending;
mod files;
mod fuzz;
mod tidy;
