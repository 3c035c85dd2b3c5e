//! Tests of the public interface: files as tools leave them, names as clients ask for them

// Helpers of tests are outside of test functions, where clippy.toml does not reach.
#![allow(clippy::unwrap_used)]

mod development;
mod files;
mod fuzz;
mod pki;
mod selection;
mod swap;
mod warnings;
mod watch;
