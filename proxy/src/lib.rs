//! sheen: HTTPS in front of Shiny apps.
//!
//! In reading order: the control plane (`cli`, `config`, `server`, `demo`) may block and runs
//! rarely; the data plane (`worker`, `conn` and what they call) runs once per core, without locks.
//! `io` alone knows the runtime and sockets. ARCHITECTURE.md has the map and the invariants.

// -- control plane --
pub mod cli;
pub mod config;
pub mod crew;
pub mod demo;
pub mod life;
pub mod listeners;
pub mod prepare;
pub mod server;

// -- data plane, from the outside in --
pub mod acme;
pub mod answer;
pub mod balancer;
pub mod bulk;
pub mod conn;
pub mod files;
pub mod h1;
pub mod io;
pub mod plan;
pub mod proxy_protocol;
pub mod redirect;
pub mod relay;
pub mod respond;
pub mod route;
pub mod serve;
pub mod tls;
pub mod tunnel;
pub mod upstream;
pub mod worker;

// -- leaves --
pub mod admission;
pub mod buf;
pub mod context;
pub mod errno;
pub mod fault;
pub mod limits;
pub mod log;
pub mod lookup;
pub mod peer;
pub mod record;
pub mod stage;
pub mod tries;
