//! Request targets and URIs: split, decoded and made normal as nginx does it.

use std::ops::Range;

/// A target in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Of the absolute form, `http://authority/path`.
    pub authority: Option<&'a [u8]>,
    /// What `$request_uri` is: path and arguments.
    pub uri: &'a [u8],
}

/// What normalising found besides the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normal {
    /// Where the arguments are in what was normalised, without the `?`.
    pub args: Range<usize>,
    /// Something was escaped.
    pub is_quoted: bool,
    pub has_plus: bool,
}

/// nginx answers 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl<'a> Target<'a> {
    /// Splits a request target. Errors: what is neither `/path` nor `scheme://authority...`, and
    /// control characters.
    pub fn parse(target: &'a [u8]) -> Result<Self, Malformed> {
        if target.iter().any(|b| *b <= b' ' || *b == 127) {
            return Err(Malformed);
        }
        if target.starts_with(b"/") {
            return Ok(Self { authority: None, uri: target });
        }
        let scheme = target.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let rest = target[scheme..].strip_prefix(b"://").ok_or(Malformed)?;
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, uri) = rest.split_at(end);
        if scheme == 0 || !is_authority(authority) {
            return Err(Malformed);
        }
        let uri = if uri.is_empty() { &b"/"[..] } else { uri };
        Ok(Self { authority: Some(authority), uri })
    }
}

fn is_authority(authority: &[u8]) -> bool {
    let (host, port) = match authority.strip_prefix(b"[") {
        Some(rest) => match memchr::memchr(b']', rest) {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => return false,
        },
        None => authority.split_at(memchr::memchr(b':', authority).unwrap_or(authority.len())),
    };
    let port = port.strip_prefix(b":").unwrap_or(port);
    !host.is_empty()
        && host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:%".contains(b))
        && port.iter().all(u8::is_ascii_digit)
}

/// Appends the normal path of `uri` to `path`: decoded, without dot segments, with double slashes
/// merged if they are to be.
pub fn normalise(uri: &[u8], merge_slashes: bool, path: &mut Vec<u8>) -> Result<Normal, Malformed> {
    let question = memchr::memchr(b'?', uri).unwrap_or(uri.len());
    let plain = &uri[..question];
    let complex = !plain.starts_with(b"/")
        || memchr::memchr2(b'%', b'#', uri).is_some()
        || plain.windows(2).any(|pair| pair[0] == b'/' && matches!(pair[1], b'/' | b'.'));
    if complex {
        return Machine { path, merge_slashes, is_quoted: false, has_plus: false }.run(uri);
    }
    path.extend_from_slice(plain);
    Ok(Normal {
        args: (question + 1).min(uri.len())..uri.len(),
        is_quoted: false,
        has_plus: memchr::memchr(b'+', plain).is_some(),
    })
}

struct Machine<'p> {
    path: &'p mut Vec<u8>,
    merge_slashes: bool,
    is_quoted: bool,
    has_plus: bool,
}

/// What the bytes before make of a slash or a dot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    Usual,
    Slash,
    Dot,
    DotDot,
}

impl Machine<'_> {
    fn run(mut self, uri: &[u8]) -> Result<Normal, Malformed> {
        let start = self.path.len();
        let mut after = After::Usual;
        if !uri.starts_with(b"/") {
            self.path.push(b'/');
            after = After::Slash;
        }
        let mut at = 0;
        while at < uri.len() {
            let mut byte = uri[at];
            at += 1;
            match byte {
                b'?' => {
                    self.finish(after, start)?;
                    let end = memchr::memchr(b'#', &uri[at..]).map_or(uri.len(), |len| at + len);
                    return Ok(self.normal(at..end));
                }
                b'#' => break,
                b'%' => {
                    byte = escaped(uri.get(at..at + 2)).ok_or(Malformed)?;
                    at += 2;
                    self.is_quoted = true;
                    match byte {
                        0 => return Err(Malformed),
                        b'%' | b'#' | b'?' => {
                            self.path.push(byte);
                            after = After::Usual;
                            continue;
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
            after = self.step(byte, after, start)?;
        }
        self.finish(after, start)?;
        Ok(self.normal(uri.len()..uri.len()))
    }

    fn step(&mut self, byte: u8, after: After, start: usize) -> Result<After, Malformed> {
        self.has_plus |= byte == b'+';
        Ok(match (byte, after) {
            (b'/', After::Usual) => {
                self.path.push(byte);
                After::Slash
            }
            (b'/', After::Slash) => {
                if !self.merge_slashes {
                    self.path.push(byte);
                }
                After::Slash
            }
            (b'/', After::Dot | After::DotDot) => {
                self.finish(after, start)?;
                After::Slash
            }
            (b'.', After::Slash) => {
                self.path.push(byte);
                After::Dot
            }
            (b'.', After::Dot) => {
                self.path.push(byte);
                After::DotDot
            }
            (byte, _) => {
                self.path.push(byte);
                After::Usual
            }
        })
    }

    /// Takes out a dot segment that ends here. Errors: it leads above the root.
    fn finish(&mut self, after: After, start: usize) -> Result<(), Malformed> {
        match after {
            After::Usual | After::Slash => {}
            After::Dot => {
                self.path.pop();
            }
            After::DotDot => {
                // "/a/.." to "/": the segment in front goes, its slash stays.
                let parent = self.path.len().checked_sub(4).filter(|end| *end >= start);
                let parent = parent.ok_or(Malformed)?;
                let slash = self.path[start..=parent].iter().rposition(|b| *b == b'/');
                self.path.truncate(start + slash.ok_or(Malformed)? + 1);
            }
        }
        Ok(())
    }

    fn normal(&self, args: Range<usize>) -> Normal {
        Normal { args, is_quoted: self.is_quoted, has_plus: self.has_plus }
    }
}

/// The byte of two hexadecimal digits.
fn escaped(digits: Option<&[u8]>) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    match digits? {
        [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    }
}

/// Path and arguments of a URI that a configuration or an upstream wrote.
pub fn split_args(uri: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', uri) {
        Some(at) => (&uri[..at], &uri[at + 1..]),
        None => (uri, b""),
    }
}

/// The path and the arguments of a URI from X-Accel-Redirect; `None` for one that leads upwards.
pub fn parse_unsafe(uri: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (path, args) = split_args(uri);
    if path.is_empty() || path.contains(&0) || leads_upwards(path) {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        match escaped(path.get(at + 1..at + 3)).filter(|_| path[at] == b'%') {
            Some(0) => return None,
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(path[at]);
                at += 1;
            }
        }
    }
    if leads_upwards(&decoded) { None } else { Some((decoded, args)) }
}

fn leads_upwards(path: &[u8]) -> bool {
    path.split(|b| *b == b'/').any(|segment| segment == b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(uri: &str, merge: bool) -> Option<(String, String)> {
        let mut path = Vec::new();
        let normal = normalise(uri.as_bytes(), merge, &mut path).ok()?;
        let args = uri.as_bytes()[normal.args].to_vec();
        Some((String::from_utf8(path).unwrap(), String::from_utf8(args).unwrap()))
    }

    #[test]
    fn uris_become_normal() {
        for (uri, path, args) in [
            ("/", "/", ""),
            ("/a?b=c", "/a", "b=c"),
            ("/a?", "/a", ""),
            ("/a?b?c#d", "/a", "b?c"),
            ("/a#b?c", "/a", ""),
            ("?x", "/", "x"),
            ("//a///b", "/a/b", ""),
            ("/./a/./b/.", "/a/b/", ""),
            ("/a/../b", "/b", ""),
            ("/a/b/..", "/a/", ""),
            ("/a/b/..?x", "/a/", "x"),
            ("/a/.?x", "/a/", "x"),
            ("/a/...", "/a/...", ""),
            ("/a/..b", "/a/..b", ""),
            ("/.a", "/.a", ""),
            ("/a.b/.c", "/a.b/.c", ""),
            ("/%61%2f%2e%2E/b", "/b", ""),
            ("/a%2f%2fb", "/a/b", ""),
            ("/a%3Fb%23c%25d?x", "/a?b#c%d", "x"),
            ("/a%2541", "/a%41", ""),
            ("/a%2e/b", "/a./b", ""),
            ("/a/.%3f", "/a/.?", ""),
            ("/a+b%2bc", "/a+b+c", ""),
        ] {
            assert_eq!(normal(uri, true), Some((path.into(), args.into())), "{uri}");
        }
        for uri in ["/..", "/a/../..", "/a/../../b", "/%", "/%4", "/%4g", "/%00", "/%2e%2e/x"] {
            assert_eq!(normal(uri, true), None, "{uri}");
        }
        for (uri, path) in [("//a//b", "//a//b"), ("/a//../b", "/a/b"), ("//..", "/")] {
            assert_eq!(normal(uri, false), Some((path.into(), String::new())), "{uri}");
        }
    }

    #[test]
    fn targets_are_split() {
        for (target, authority, uri) in [
            ("/a?b", None, "/a?b"),
            ("http://h/a", Some("h"), "/a"),
            ("HTTPS://h:80", Some("h:80"), "/"),
            ("http://h?x", Some("h"), "?x"),
            ("http://[::1]:80/", Some("[::1]:80"), "/"),
        ] {
            let parsed = Target::parse(target.as_bytes()).unwrap();
            assert_eq!(parsed.authority, authority.map(str::as_bytes), "{target}");
            assert_eq!(parsed.uri, uri.as_bytes(), "{target}");
        }
        for target in ["", "*", "a", "a/b", "http:/h", "http:///a", "http://h:8x/", "/a\tb", "://h"]
        {
            assert_eq!(Target::parse(target.as_bytes()), Err(Malformed), "{target}");
        }
    }

    #[test]
    fn redirects_of_upstreams_stay_below_the_root() {
        let parse = |uri: &str| parse_unsafe(uri.as_bytes()).map(|(path, _)| path);
        assert_eq!(parse("/a%20b?c").as_deref(), Some(&b"/a b"[..]));
        assert_eq!(parse("/a%zz").as_deref(), Some(&b"/a%zz"[..]));
        for uri in ["", "?a", "/..", "/a/../b", "..", "/%2e%2e/a", "/%00"] {
            assert_eq!(parse(uri), None, "{uri}");
        }
    }
}
