//! The integration tests: the real binary, raw bytes in, raw bytes out, one scenario a function.
#![allow(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

// How requests are read.
mod framing;
mod framing_bodies;
mod pipelining;

// How bodies and answers go through.
mod bodies;
mod interim;
mod streaming;

// What becomes of fields and addresses.
mod headers;
mod hop_by_hop;
mod hsts;
mod redirect;
mod resolver;
mod routing;

// WebSockets.
mod tunnels;
mod websocket;

// Time, room, and apps that fail.
mod deadlines;
mod limits;
mod pace;
mod upstream;

// TLS.
mod certificates;
mod tls;
mod tls_records;
mod tls_tunnels;

// The process: its command line, signals, logs, privileges.
mod background;
mod command_line;
mod listeners;
mod logs;
mod nginx_flags;
mod privileges;
mod rungs;
mod signals;
mod upgrade;

// nginx.conf, most of it beside the real nginx.
mod access_logs;
mod nginx_answers;
mod nginx_conf;
mod nginx_connections;
mod nginx_life;
mod nginx_listen;
mod nginx_tls;
mod real_ip;
mod refusals;
mod site;
mod variables;
mod variables_led;

// Bugs that were found.
mod regression;

// Parts of the program, without its process.
mod file_sending;
mod files;
mod fuzz;
mod tidy;
