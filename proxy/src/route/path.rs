//! Paths in the form in which locations are compared: decoded, without dot segments and double
//! slashes.
//!
//! The app gets the path as the client wrote it; but which app that is must not depend on how it
//! was written (`/%72studio/`, `/x/../rstudio/`).

use std::borrow::Cow;

use crate::fault::Refusal;

/// The normal form of a path that begins with `/`; most paths are in it already.
///
/// Errors: a bad escape, an escaped NUL, and dot segments that lead above the root.
pub fn normal(path: &str) -> Result<Cow<'_, [u8]>, Refusal> {
    let bytes = path.as_bytes();
    let mut after_slash = memchr::memchr_iter(b'/', bytes).map(|slash| bytes.get(slash + 1));
    let plain = memchr::memchr(b'%', bytes).is_none()
        && !after_slash.any(|next| matches!(next, Some(b'.' | b'/')));
    if plain {
        return Ok(Cow::Borrowed(bytes));
    }
    let decoded = decode(bytes)?;
    let mut normal: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut segments = decoded.split(|b| *b == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." if !last => {}
            b"" | b"." => normal.push(b'/'),
            b".." => {
                let parent = normal.iter().rposition(|b| *b == b'/');
                normal.truncate(parent.ok_or(Refusal::bad_request("path leads above the root"))?);
                if last {
                    normal.push(b'/');
                }
            }
            segment => {
                normal.push(b'/');
                normal.extend_from_slice(segment);
            }
        }
    }
    Ok(Cow::Owned(normal))
}

fn decode(path: &[u8]) -> Result<Vec<u8>, Refusal> {
    let hex = |b: Option<&u8>| b.and_then(|b| (*b as char).to_digit(16));
    let mut decoded = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let byte = if path[at] == b'%' {
            let (Some(high), Some(low)) = (hex(path.get(at + 1)), hex(path.get(at + 2))) else {
                return Err(Refusal::bad_request("invalid escape in request target"));
            };
            at += 2;
            (high * 16 + low) as u8
        } else {
            path[at]
        };
        if byte == 0 {
            return Err(Refusal::bad_request("NUL in request target"));
        }
        decoded.push(byte);
        at += 1;
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_are_the_same_look_the_same() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a//b///c", "/a/b/c"),
            ("//a", "/a"),
            ("/%61%2Fb", "/a/b"),
            ("/x/%2e%2E/a", "/a"),
            ("/.hidden", "/.hidden"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(normal(path).unwrap(), expected.as_bytes(), "{path}");
        }
        for path in ["/..", "/a/../../b", "/%", "/%6", "/%zz", "/%00", "/%2e%2e/x"] {
            assert!(normal(path).is_err(), "{path}");
        }
    }
}
