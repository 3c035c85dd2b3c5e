//! What a server name is answered with: chains and keys, checked, indexed, swapped and watched
//!
//! The promise: a [`Store`] always answers with pairs that fit. Files are read as a whole,
//! checked ([`Identity`] is a value only the check can make), indexed ([`CertSet`]) and published
//! in one step; a source whose new files are bad keeps its last good identity, and the [`Report`]
//! says so. This crate knows no sockets and no runtime.
//!
//! In reading order: `load` turns files into chain and key, `passphrase` decrypts the key, `check` makes an identity, `advice`
//! says what is legal and will hurt, `set` is the index, `store` publishes it, [`watch`] follows
//! the files, [`Resolver`] answers rustls, [`tickets`] makes session tickets and [`development`]
//! a certificate for the machine of an author.

mod advice;
mod check;
mod load;
mod passphrase;
mod report;
mod resolver;
mod set;
mod store;

pub mod development;
pub mod tickets;
pub mod watch;

pub use check::{Identity, KeyKind};
pub use load::fuzz_load;
pub use report::{Change, Problem, Report};
pub use resolver::Resolver;
pub use set::CertSet;
pub use store::{Source, Store};
