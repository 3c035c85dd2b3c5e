//! Harness of sheen's tests: the process under test, its clients, its upstreams, its certificates.
//!
//! Read in this order: [`sheen`] (the process), [`client`] and [`upstream`] (the two ends that talk
//! raw bytes through it), [`message`] (how both read HTTP), then the helpers.
#![allow(clippy::unwrap_used, reason = "a harness fails loudly, at the line that went wrong")]

pub mod sheen;

pub mod client;
pub mod engine;
pub mod fuzz;
pub mod message;
pub mod nginx;
pub mod nginx_conf;
pub mod pki;
pub mod port;
pub mod tidy;
pub mod upstream;
pub mod wait;
pub mod websocket;

/// `len` bytes in which every position can be told from its neighbours: a repeated block of prime
/// length, so that a lost, doubled or moved piece never lines up again.
pub fn pattern(offset: u64, len: usize) -> Vec<u8> {
    let block = pattern_block();
    let start = (offset % block.len() as u64) as usize;
    let mut bytes = Vec::with_capacity(len + block.len());
    bytes.extend_from_slice(&block[start..]);
    while bytes.len() < len {
        bytes.extend_from_slice(block);
    }
    bytes.truncate(len);
    bytes
}

/// Whether `bytes` are what [`pattern`] has at `offset`.
pub fn is_pattern(offset: u64, bytes: &[u8]) -> bool {
    let block = pattern_block();
    let mut at = (offset % block.len() as u64) as usize;
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = rest.len().min(block.len() - at);
        if rest[..len] != block[at..at + len] {
            return false;
        }
        rest = &rest[len..];
        at = (at + len) % block.len();
    }
    true
}

fn pattern_block() -> &'static [u8] {
    static BLOCK: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BLOCK.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            (state >> 33) as u8
        };
        std::iter::repeat_with(next).take(65_521).collect()
    })
}
