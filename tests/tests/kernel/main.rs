//! Kernel TLS on real kernels: Debian's, booted in QEMU, which needs neither root nor a disk.
//!
//! This binary runs twice. On the host its tests fetch a kernel, pack it with this very binary and
//! sheen into an archive for early user space, boot it and read the serial console. Inside, the
//! scenarios (ignored elsewhere) run as on any machine. Where QEMU or a kernel can't be had a test
//! says that it was skipped.
#![allow(clippy::unwrap_used, reason = "a test fails where it goes wrong")]

mod archive;
mod machine;
mod packages;

mod counts;
mod downloads;
mod ends;
mod keys;
mod scene;

/// All scenarios. Before Linux 6.14 a kernel takes no new keys.
#[test]
fn linux_of_bookworm() {
    machine::run("bookworm", &[]);
}

/// Between the two, sendpage gave way to spliced pages.
#[test]
fn linux_of_bookworm_backports() {
    machine::run("bookworm-backports", &["every_cipher", "slow_", "ends::"]);
}

#[test]
fn linux_of_trixie_backports_which_follows_key_updates() {
    machine::run("trixie-backports", &["every_cipher", "in_part", "ends::", "keys::"]);
}
