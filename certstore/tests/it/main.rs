//! Tests of the public interface: files as tools leave them, names as clients ask for them

#![allow(
    clippy::unwrap_used,
    reason = "helpers are outside of test functions, where clippy.toml does not reach"
)]

mod development;
mod files;
mod fuzz;
mod passphrases;
mod pki;
mod selection;
mod swap;
mod warnings;
mod watch;
