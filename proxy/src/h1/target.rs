//! What a request asks for: host, port and path, from the request target and Host together.
//!
//! RFC 9112 section 3.2, RFC 9110 section 7.2.

use super::head::{Repeated, RequestHead, Version};
use super::name::Name;
use crate::fault::Refusal;

/// A checked target. `authority` and `host` are empty only for an HTTP/1.0 request without Host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'b> {
    /// `host` or `host:port`, as the client wrote it.
    pub authority: &'b str,
    /// Without the port; an IPv6 address keeps its brackets.
    pub host: &'b str,
    pub port: Option<u16>,
    /// Path and query, beginning with `/`; or `*`.
    pub path_and_query: &'b str,
}

impl<'b> Target<'b> {
    /// Errors: 400 for what is not a target or a host, 405 for methods that a reverse proxy does
    /// not take.
    pub fn of(head: &RequestHead<'_, 'b>) -> Result<Self, Refusal> {
        if matches!(head.method, "CONNECT" | "TRACE") {
            return Err(Refusal { status: 405, words: "method is not allowed" });
        }
        let host_field = match head.fields.only(Name::Host) {
            Ok(Some(value)) => Some(std::str::from_utf8(value).map_err(|_| INVALID_HOST)?),
            Ok(None) if head.version == Version::Http11 => {
                return Err(Refusal::bad_request(
                    "client sent HTTP/1.1 request without \"Host\" header",
                ));
            }
            Ok(None) => None,
            Err(Repeated) => return Err(Refusal::bad_request("client sent duplicate host header")),
        };
        let (target_authority, path_and_query) = split(head)?;
        // The target's authority wins over Host; Host must be right all the same.
        let checked_host = host_field.map(split_authority).transpose()?;
        let (authority, (host, port)) = match (target_authority, host_field, checked_host) {
            (Some(authority), _, _) => (authority, split_authority(authority)?),
            (None, Some(host), Some(parts)) => (host, parts),
            (None, _, _) => ("", ("", None)),
        };
        Ok(Self { authority, host, port, path_and_query })
    }

    /// The path alone.
    pub fn path(&self) -> &'b str {
        let end = memchr::memchr(b'?', self.path_and_query.as_bytes());
        &self.path_and_query[..end.unwrap_or(self.path_and_query.len())]
    }
}

/// Authority of an absolute target, and the origin-form of any target.
fn split<'b>(head: &RequestHead<'_, 'b>) -> Result<(Option<&'b str>, &'b str), Refusal> {
    let target = head.target;
    // Browsers leave a backslash in a query as it is (WHATWG URL, query percent-encode set). In a
    // path it is one that an app may read as a slash.
    let path_len = memchr::memchr(b'?', target.as_bytes()).unwrap_or(target.len());
    if target.contains('#') || target[..path_len].contains('\\') {
        return Err(Refusal::bad_request("invalid character in request target"));
    }
    if target.starts_with('/') {
        return Ok((None, target));
    }
    if target == "*" && head.method == "OPTIONS" {
        return Ok((None, target));
    }
    let rest = strip_scheme(target).ok_or(Refusal::bad_request("invalid request target"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match path {
        "" => Ok((Some(authority), "/")),
        path if path.starts_with('/') => Ok((Some(authority), path)),
        _ => Err(Refusal::bad_request("request target without a path")),
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let head = target.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| &target[scheme.len()..])
    })
}

/// Host and port of `host[:port]`. Names as DNS and containers have them, addresses, IPv6 in
/// brackets: less than RFC 3986 allows, so that a host can stand in a Location or a log without
/// being escaped.
fn split_authority(authority: &str) -> Result<(&str, Option<u16>), Refusal> {
    let end = match authority.strip_prefix('[') {
        Some(rest) => rest.find(']').ok_or(INVALID_HOST)? + 2,
        None => memchr::memchr(b':', authority.as_bytes()).unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let valid = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            // A dot may follow anything but nothing and another dot.
            let mut before = b'.';
            !host.is_empty()
                && host.len() <= HOST_BYTES_MAX
                && host.bytes().all(|b| {
                    let dotted = std::mem::replace(&mut before, b) == b'.';
                    b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.' && !dotted
                })
        }
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        // RFC 3986 section 3.2.3 allows an empty port.
        Some("") => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse::<u16>().map_err(|_| INVALID_HOST)?)
        }
        None | Some(_) => return Err(INVALID_HOST),
    };
    if valid { Ok((host, port)) } else { Err(INVALID_HOST) }
}

const INVALID_HOST: Refusal = Refusal::bad_request("client sent invalid host header");
/// RFC 1035 section 3.1.
const HOST_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::super::head::{Table, parse_request};
    use super::*;
    use crate::limits::Limits;

    fn check(head: &str, expected: Result<(&str, Option<u16>, &str), u16>) {
        let text = head.replace('|', "\r\n") + "\r\n\r\n";
        let mut table = Table::default();
        let target = parse_request(text.as_bytes(), &mut table, &Limits::default())
            .and_then(|head| Target::of(&head));
        let found =
            target.map(|t| (t.host, t.port, t.path_and_query)).map_err(|refusal| refusal.status);
        assert_eq!(found, expected, "{head}");
    }

    #[test]
    fn host_port_and_path() {
        check("GET / HTTP/1.1|Host: a.example", Ok(("a.example", None, "/")));
        check("GET /x?y HTTP/1.1|Host: A.example:8443", Ok(("A.example", Some(8443), "/x?y")));
        check("GET / HTTP/1.1|Host: [::1]:443", Ok(("[::1]", Some(443), "/")));
        check("GET / HTTP/1.1|Host: my_app-1:", Ok(("my_app-1", None, "/")));
        check("GET / HTTP/1.0", Ok(("", None, "/")));
        check("GET http://b.example/p HTTP/1.1|Host: a", Ok(("b.example", None, "/p")));
        check("GET HTTPS://b.example HTTP/1.1|Host: a", Ok(("b.example", None, "/")));
        check("GET /x?C:\\y HTTP/1.1|Host: a", Ok(("a", None, "/x?C:\\y")));
        check("OPTIONS * HTTP/1.1|Host: a", Ok(("a", None, "*")));
        check("GET //evil.example/x HTTP/1.1|Host: a", Ok(("a", None, "//evil.example/x")));
    }

    #[test]
    fn what_is_no_target_or_host_is_refused() {
        check("GET / HTTP/1.1|X: y", Err(400));
        check("GET / HTTP/1.1|Host:", Err(400));
        check("GET / HTTP/1.1|Host: a|Host: a", Err(400));
        for host in [
            "a b", "a/b", "u@a", "a:b", "a:99999", "a:-1", "[::1", "[::1]x", "[x]", "a,b", "..a",
            "é", "a?b", ":80",
        ] {
            check(&format!("GET / HTTP/1.1|Host: {host}"), Err(400));
        }
        check("GET http://b.example/p HTTP/1.1|Host: a/b", Err(400));
        check("GET x HTTP/1.1|Host: a", Err(400));
        check("GET * HTTP/1.1|Host: a", Err(400));
        check("GET ftp://a/ HTTP/1.1|Host: a", Err(400));
        check("GET http:///x HTTP/1.1|Host: a", Err(400));
        check("GET http:///x HTTP/1.0", Err(400));
        check("GET http://u@b/ HTTP/1.1|Host: a", Err(400));
        check("GET http://b?x HTTP/1.1|Host: a", Err(400));
        check("GET /a#b HTTP/1.1|Host: a", Err(400));
        check("GET /a\\b HTTP/1.1|Host: a", Err(400));
        check("CONNECT a:443 HTTP/1.1|Host: a", Err(405));
        check("TRACE / HTTP/1.1|Host: a", Err(405));
    }
}
