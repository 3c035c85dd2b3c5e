//! What is known of a request from its head to its log line, and the facts that variables are read
//! from.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httparse::Header;

use crate::h1::framing::Length;
use crate::h1::head::Version;
use crate::h1::websocket::Upgrade;
use crate::limits::FIELDS_MAX;
use crate::plan::Terms;
use crate::record::Identity;
use crate::route::builtin::Builtin;
use crate::route::evaluate::Context;
use crate::route::facts::{self, Facts, Now, Process, Tls, Try};
use crate::route::http::{Content, Host, Http, Location, RequestFields};
use crate::route::state::State;

/// One request.
#[derive(Debug)]
pub struct Ongoing {
    pub(super) http: Arc<Http>,
    pub(super) state: Box<State>,
    /// As it came.
    pub(super) head: Vec<u8>,
    /// The target without scheme and authority.
    pub(super) request_uri: Vec<u8>,
    /// The name it asks for, in lower case and without a port.
    pub(super) name: Vec<u8>,
    /// Which server serves it.
    pub(super) host: usize,
    /// Whose content it gets, once that is known.
    pub(super) location: usize,
    pub(super) terms: Terms,
    pub(super) length: Length,
    pub(super) upgrade: Upgrade,
    pub(super) identity: Rc<Identity>,
    pub(super) local: SocketAddr,
    pub(super) tls: bool,
    /// Requests of this connection so far.
    pub(super) requests: u64,
    /// Of the connection, when the request came.
    pub(super) age: Duration,
    /// Some of its fields are not taken: see [`RequestFields`].
    pub(super) leaves_out: bool,
    pub(super) begun_ms: u64,
    pub(super) request_id: [u8; 16],
    /// `$proxy_host` and `$proxy_port`.
    pub(super) proxy_host: Vec<u8>,
    pub(super) proxy_port: Vec<u8>,
}

/// What is known of the answer so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    pub status: u16,
    /// Of the upstream.
    pub upstream_addr: &'a [u8],
    pub upstream_status: Option<u16>,
    pub fields: &'a [Header<'a>],
    /// Sent to the client.
    pub body_bytes: u64,
    /// Of local time, east of Greenwich; asked for where it is read.
    pub offset_s: i32,
}

/// The head of the request, taken apart again.
pub(super) struct Parsed<'h> {
    pub(super) method: &'h str,
    pub(super) fields: &'h [Header<'h>],
}

impl Ongoing {
    /// Lets `work` evaluate what it likes.
    pub(super) fn with<R>(
        &mut self,
        seen: &Seen<'_>,
        work: impl FnOnce(Context<'_>, &Host, &Parsed<'_>) -> R,
    ) -> R {
        let mut table = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
        let mut head = httparse::Request::new(&mut []);
        // It was parsed before; whatever is left out here is empty.
        let _ = head.parse_with_uninit_headers(&self.head, &mut table);
        let host = &self.http.hosts[self.host];
        let fields =
            if self.leaves_out { taken(head.headers, host.request_fields) } else { head.headers };
        let parsed = Parsed { method: head.method.unwrap_or_default(), fields };
        let line_end = memchr::memchr(b'\r', &self.head).unwrap_or(self.head.len());
        let local = self.local_text();
        let binary = self.http.variables.uses(Builtin::BinaryRemoteAddr);
        let upstream =
            [Try { addr: seen.upstream_addr, status: seen.upstream_status, ..Try::default() }];
        let facts = Facts {
            request_line: &self.head[..line_end],
            method: parsed.method.as_bytes(),
            request_uri: &self.request_uri,
            protocol: match self.terms.version {
                Version::Http11 => b"HTTP/1.1",
                Version::Http10 => b"HTTP/1.0",
            },
            host: &self.name,
            fields: parsed.fields,
            request_length: self.head.len() as u64,
            request_body: None,
            request_id: self.request_id,
            server_name: &host.name,
            connection: facts::Connection {
                remote_addr: binary.then(|| self.identity.address.parse().ok()).flatten(),
                remote_text: self.identity.address.as_bytes(),
                remote_port: self.identity.port,
                server_addr: local.as_bytes(),
                server_port: self.local.port(),
                number: self.identity.number,
                requests: self.requests,
                ..facts::Connection::default()
            },
            tls: self.tls.then(|| self.identity.tls_facts()),
            upstream: facts::Upstream {
                proxy_host: &self.proxy_host,
                proxy_port: &self.proxy_port,
                tries: if seen.upstream_addr.is_empty() { &[] } else { &upstream },
                fields: seen.fields,
                trailers: &[],
            },
            answer: facts::Answer {
                status: seen.status,
                fields: seen.fields,
                bytes_sent: seen.body_bytes,
                body_bytes_sent: seen.body_bytes,
                is_complete: true,
                ..facts::Answer::default()
            },
            process: Process {
                hostname: b"",
                version: env!("CARGO_PKG_VERSION").as_bytes(),
                pid: std::process::id(),
            },
            now: Now { unix_ms: now_ms(), offset_s: seen.offset_s, request_ms: self.begun_ms },
        };
        let context =
            Context { variables: &self.http.variables, facts: &facts, state: &mut self.state };
        work(context, host, &parsed)
    }

    /// `$server_addr`, where something reads it.
    fn local_text(&self) -> String {
        if !self.http.variables.uses(Builtin::ServerAddr) {
            return String::new();
        }
        self.local.ip().to_canonical().to_string()
    }

    /// The location that serves it is known: whether another request may follow is decided there.
    pub(super) fn settle(&mut self, location: usize) {
        self.location = location;
        let Location { keeping, limits, .. } = self.in_force();
        let ends = self.requests >= keeping.requests
            || self.age > keeping.time
            || limits.timeouts.keep_alive.is_zero();
        self.terms.keep_alive &= !ends;
    }

    /// What it asks of its connection.
    pub fn terms(&self) -> Terms {
        self.terms
    }

    /// False where the app's answer is awaited though the client has gone.
    pub fn heeds_client(&self) -> bool {
        !matches!(&self.in_force().content, Content::Proxy(proxy) if proxy.ignores_abort)
    }

    /// What its location has in force.
    pub fn in_force(&self) -> &Location {
        &self.http.hosts[self.host].locations[self.location]
    }

    /// For an exchange that goes on for long.
    pub fn shrink(&mut self) {
        self.state.shrink();
        self.head.shrink_to_fit();
    }

    /// What can be used by the next request.
    pub fn into_state(self: Box<Self>) -> Box<State> {
        self.state
    }
}

/// Moves the fields that are taken to the front, and returns them.
fn taken<'a, 'h>(fields: &'a mut [Header<'h>], takes: RequestFields) -> &'a [Header<'h>] {
    let mut kept = 0;
    for at in 0..fields.len() {
        if takes.takes(fields[at].name.as_bytes()) {
            fields[kept] = fields[at];
            kept += 1;
        }
    }
    &fields[..kept]
}

impl Identity {
    fn tls_facts(&self) -> Tls<'_> {
        let handshake = self.handshake.get();
        let server_name = handshake.and_then(|handshake| handshake.server_name.as_deref());
        Tls {
            protocol: handshake.map_or(b"", |handshake| handshake.protocol.as_bytes()),
            server_name: server_name.unwrap_or_default().as_bytes(),
            ..Tls::default()
        }
    }
}

/// A request's number for logs, made only where something reads it.
pub(super) fn request_id(http: &Http) -> [u8; 16] {
    let mut id = [0; 16];
    if http.variables.uses(Builtin::RequestId) {
        // Without random bytes the number is not unique, which harms nobody.
        let _ = aws_lc_rs::rand::fill(&mut id);
    }
    id
}

pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
