//! What is known of a request while it is served: borrowed, and filled in as it comes to be known.

use std::net::IpAddr;

use crate::h1::kept::FieldList;

/// Everything a variable may be read from. What is not known yet is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts<'a> {
    /// `GET /x?y HTTP/1.1`.
    pub request_line: &'a [u8],
    pub method: &'a [u8],
    /// The target as the client wrote it, without scheme and authority.
    pub request_uri: &'a [u8],
    /// `HTTP/1.1`.
    pub protocol: &'a [u8],
    /// In lower case and without a port, as [`super::names::Host`] has it; may be empty.
    pub host: &'a [u8],
    pub fields: FieldList<'a>,
    /// Bytes of head and body that have come.
    pub request_length: u64,
    /// Bytes of a body that came in chunks, once it is whole.
    pub unchunked: Option<u64>,
    /// The body, where it is in memory.
    pub request_body: Option<&'a [u8]>,
    /// Random; made only where [`super::variable::Reads`] says it is read.
    pub request_id: [u8; 16],
    /// The first name of the chosen server.
    pub server_name: &'a [u8],
    pub connection: Connection<'a>,
    pub tls: Option<Tls<'a>>,
    pub upstream: Upstream<'a>,
    pub answer: Answer<'a>,
    pub process: Process<'a>,
    pub clock: Clock,
}

impl Facts<'_> {
    pub(super) fn now(&self) -> Now {
        (self.clock.read)()
    }
}

/// The client's connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connection<'a> {
    /// `None` for a client on a Unix socket.
    pub remote_addr: Option<IpAddr>,
    /// The same as text, or `unix:`.
    pub remote_text: &'a [u8],
    pub remote_port: u16,
    /// The other end of the socket, where `real_ip_header` has told who is behind it.
    pub peer_text: &'a [u8],
    pub peer_port: u16,
    pub server_addr: &'a [u8],
    pub server_port: u16,
    pub number: u64,
    pub requests: u64,
    /// The request had come before the one before it was answered.
    pub is_pipelined: bool,
    /// When it was accepted.
    pub since_ms: u64,
    /// From a PROXY protocol header, if one came.
    pub proxy_protocol: Option<ProxyProtocol<'a>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ProxyProtocol<'a> {
    pub addr: &'a [u8],
    pub port: u16,
    pub server_addr: &'a [u8],
    pub server_port: u16,
}

/// What the handshake agreed on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tls<'a> {
    pub protocol: &'a [u8],
    pub cipher: &'a [u8],
    pub curve: &'a [u8],
    pub server_name: &'a [u8],
    pub alpn: &'a [u8],
    pub session_reused: bool,
    pub early_data: bool,
    pub client: Option<ClientCertificate<'a>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct ClientCertificate<'a> {
    /// `SUCCESS` or `FAILED:reason`.
    pub verify: &'a [u8],
    pub pem: &'a [u8],
    pub subject: &'a [u8],
    pub issuer: &'a [u8],
    pub serial: &'a [u8],
    pub fingerprint: &'a [u8],
    pub not_before: &'a [u8],
    pub not_after: &'a [u8],
    pub days_left: &'a [u8],
}

/// What was asked of the upstream, and what it answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Upstream<'a> {
    /// Host and port as `proxy_pass` names them.
    pub proxy_host: &'a [u8],
    pub proxy_port: &'a [u8],
    /// One for each address tried.
    pub tries: &'a [Try<'a>],
    /// The fields of the answer, as they came.
    pub fields: FieldList<'a>,
    pub trailers: FieldList<'a>,
}

/// One attempt; what did not come to pass is `None`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Try<'a> {
    pub addr: &'a [u8],
    /// Another location than that of the one before it made it.
    pub is_elsewhere: bool,
    pub status: Option<u16>,
    pub connect_ms: Option<u64>,
    pub header_ms: Option<u64>,
    pub response_ms: Option<u64>,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub response_length: u64,
}

/// What goes to the client.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answer<'a> {
    /// 0 while there is none.
    pub status: u16,
    pub fields: FieldList<'a>,
    pub trailers: FieldList<'a>,
    pub bytes_sent: u64,
    pub body_bytes_sent: u64,
    /// Another request may follow on the connection.
    pub keeps_alive: bool,
    /// True when the exchange came to its proper end.
    pub is_complete: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Process<'a> {
    pub hostname: &'a [u8],
    /// What `$nginx_version` says.
    pub version: &'a [u8],
    pub pid: u32,
}

/// The time, asked for by those variables alone that tell it.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub read: fn() -> Now,
    /// When the request began, in milliseconds since 1970; known where [`super::variable::Reads`]
    /// says it is read.
    pub request_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    pub unix_ms: u64,
    /// Of local time, east of Greenwich.
    pub offset_s: i32,
}

impl Default for Clock {
    fn default() -> Self {
        Self { read: Now::default, request_ms: 0 }
    }
}
