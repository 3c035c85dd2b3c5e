//! The answer of a plain-HTTP listener: the same host, path and query on https.
//!
//! Nothing is copied and nothing allocated: precomputed parts and slices of the request leave in
//! one vectored write.

use std::io::IoSlice;

use crate::fault::Fault;
use crate::tls::stream::Stream;

/// The parts that do not depend on the request; made once per configuration.
#[derive(Debug)]
pub struct Redirect {
    moved_permanently: Box<[u8]>,
    permanent_redirect: Box<[u8]>,
    /// `:8443`, or empty for 443.
    port: Box<[u8]>,
}

/// What varies.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    pub permanent_redirect: bool,
    /// Host without port.
    pub host: &'a [u8],
    /// Path and query.
    pub target: &'a [u8],
    pub keep_alive: bool,
}

impl Redirect {
    /// `https_port`: of the TLS listener that clients are sent to.
    pub fn new(https_port: u16) -> Self {
        let head = |status: &str| {
            format!("HTTP/1.1 {status}\r\nServer: sheen\r\nContent-Length: 0\r\nLocation: https://")
        };
        let port = if https_port == 443 { String::new() } else { format!(":{https_port}") };
        Self {
            moved_permanently: head("301 Moved Permanently").into_bytes().into(),
            permanent_redirect: head("308 Permanent Redirect").into_bytes().into(),
            port: port.into_bytes().into(),
        }
    }

    pub async fn send(&self, client: &Stream, location: &Location<'_>) -> Result<(), Fault> {
        client.write_vectored(&self.parts(location)).await
    }

    /// The answer, in order.
    pub fn parts<'a>(&'a self, location: &Location<'a>) -> [IoSlice<'a>; 5] {
        let head: &[u8] = if location.permanent_redirect {
            &self.permanent_redirect
        } else {
            &self.moved_permanently
        };
        // An authority-less target (`OPTIONS *`) leads to the root.
        let target = if location.target == b"*" { b"/" } else { location.target };
        let end: &[u8] = if location.keep_alive {
            b"\r\nConnection: keep-alive\r\n\r\n"
        } else {
            b"\r\nConnection: close\r\n\r\n"
        };
        [head, location.host, &self.port, target, end].map(IoSlice::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_named_unless_it_is_443() {
        let location = Location {
            permanent_redirect: false,
            host: b"a.example",
            target: b"/x?y=1",
            keep_alive: true,
        };
        let text = |port| {
            let redirect = Redirect::new(port);
            let parts = redirect.parts(&location);
            String::from_utf8(parts.iter().flat_map(|part| part.to_vec()).collect()).unwrap()
        };
        assert!(text(443).contains("\r\nLocation: https://a.example/x?y=1\r\n"));
        assert!(text(8443).contains("\r\nLocation: https://a.example:8443/x?y=1\r\n"));
        assert!(text(443).ends_with("\r\n\r\n"));
    }
}
