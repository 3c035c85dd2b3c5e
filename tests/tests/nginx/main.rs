//! sheen beside the real nginx: the same nginx.conf, the same bytes from clients, the same app.
//!
//! A scenario is a file in `scenarios`: the inside of an http block, and requests. What the client
//! gets and what the app sees must be the same on both sides, but for the rows of `differences`.
//! `published` has whole configurations of the kinds that people write for Shiny; `engine` compares
//! the engine alone, with more requests than the whole program could be asked in the time.
#![allow(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

mod compare;
mod differences;
mod pair;
mod scenario;
mod seen;

mod published;

mod engine;
mod engine_fields;
