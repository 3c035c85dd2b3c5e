//! `/.well-known/acme-challenge/` on plain HTTP, from a folder: how certbot's webroot plugin proves
//! a name (RFC 8555 section 8.3).

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The path under which challenges are asked for.
pub const PREFIX: &str = "/.well-known/acme-challenge/";

/// The token in a path below [`PREFIX`]; `None` when it can't be one: base64url alone, so it can't
/// lead out of the folder either.
pub fn token(path: &str) -> Option<&str> {
    let token = path.strip_prefix(PREFIX)?;
    let valid = !token.is_empty()
        && token.len() <= TOKEN_BYTES_MAX
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    valid.then_some(token)
}

/// The file's bytes; `None` when there is none.
///
/// The only file that a worker reads: small, local, and asked for by nobody but a certificate
/// authority.
pub fn read(webroot: &Path, token: &str) -> Option<Vec<u8>> {
    let path = webroot.join(&PREFIX[1..]).join(token);
    let mut content = Vec::new();
    // A FIFO would hold the worker up before it could be told from a file.
    let not_waiting = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(not_waiting).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(CONTENT_BYTES_MAX + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= CONTENT_BYTES_MAX).then_some(content)
}

const TOKEN_BYTES_MAX: usize = 256;
const CONTENT_BYTES_MAX: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tokens_are_tokens() {
        assert_eq!(token("/.well-known/acme-challenge/aZ0-_"), Some("aZ0-_"));
        for path in ["", "/", "a/b", "../x", "a.b", "%2e", "a b"] {
            assert_eq!(token(&format!("{PREFIX}{path}")), None, "{path}");
        }
        assert_eq!(token("/x"), None);
    }
}
