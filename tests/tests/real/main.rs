//! The tests with real parts: Shiny in R, Chromium, curl, openssl and testssl.sh against the real
//! binary.
//!
//! `tests/run` installs the parts. Where one is missing the test fails and says so, unless
//! `SHEEN_TESTS_WITHOUT_REAL_PARTS=1` asks for what can be had. Pictures and reports of a run stay
//! in `target/test-artefacts`.
#![allow(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

mod parts;

mod authority;
mod browser;
mod certbot;
mod scene;
mod shiny;

mod nginx_conf;
mod renewal;
mod shiny_app;

mod demo;

mod curl;
mod openssl;
mod testssl;
