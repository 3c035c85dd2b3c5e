//! What is known of a request from its head to its log line, and the facts that variables are read
//! from.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use super::accel::Handed;
use super::files::Complaint;
use super::plan::Left;
use super::request::Proxied;
use crate::config::{ErrorLog, Level, LogTargets};
use crate::context::HeldHttp;
use crate::h1::framing::Length;
use crate::h1::head::Version;
use crate::h1::kept::{FieldList, KeptHead};
use crate::h1::websocket::Upgrade;
use crate::limits::DISCARDED_BYTES_MAX;
use crate::log;
use crate::plan::Terms;
use crate::record::{Identity, Introduction, unix_ms};
use crate::relay::Body;
use crate::route::evaluate::Context;
use crate::route::facts::{self, Clock, Facts, Now, Process, Tls, Try};
use crate::route::http::{Content, Host, Http, Location};
use crate::route::real_ip::RealIp;
use crate::route::state::State;
use crate::tries::{Attempt, Tries};

/// One request.
#[derive(Debug)]
pub struct Ongoing {
    pub(super) http: HeldHttp,
    pub(super) state: Box<State>,
    pub(super) texts: Texts,
    /// Which server serves it.
    pub(super) host: usize,
    /// Whose content it gets, once that is known.
    pub(super) location: usize,
    pub terms: Terms,
    pub(super) length: Length,
    pub(super) upgrade: Upgrade,
    /// The client waits for a 100 before it sends its body.
    pub(super) expects_continue: bool,
    /// The app was asked with HEAD, whatever the client asked with.
    pub asks_head: bool,
    /// What an app was told of the body's length: it counts as received.
    pub(super) announced: u64,
    /// Bytes of a body that came in chunks, once it is whole.
    pub(super) unchunked: Option<u64>,
    /// The body has been sent to an app and can't be sent to another.
    pub(super) is_spent: bool,
    /// A decision has been taken with the length of the body in mind.
    pub(super) is_judged: bool,
    /// Of an answer of the app that led elsewhere.
    pub(super) handed: Option<Box<Handed>>,
    /// For the error log.
    pub(super) complaints: Vec<Complaint>,
    pub(super) identity: Rc<Identity>,
    /// Who it comes from, where that is not the other end of the connection.
    pub(super) client: Option<Client>,
    pub(super) tls: bool,
    /// Requests of this connection so far.
    pub(super) requests: u64,
    pub(super) is_pipelined: bool,
    /// Of the connection, when the request came.
    pub(super) age: Duration,
    pub(super) begun_ms: u64,
    pub(super) request_id: [u8; 16],
    /// Lines of a 401 that an error page takes the place of: it asks for the same.
    pub(super) challenge: Vec<u8>,
    pub(super) tries: Rc<Tries>,
    pub(super) kept: Kept,
}

/// What is written down of a request.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// As it came, without the fields that are not taken: [`crate::route::http::RequestFields`].
    pub(super) head: KeptHead,
    /// The target without scheme and authority.
    pub(super) request_uri: Vec<u8>,
    /// The name it asks for, in lower case and without a port.
    pub(super) name: Vec<u8>,
    pub(super) proxied: Proxied,
}

/// The memory of a request that is over, for the next one.
#[derive(Debug, Default)]
pub struct Spare {
    pub state: Box<State>,
    pub(super) texts: Texts,
}

/// What is kept for variables that somebody reads; else empty.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The head of the upstream's answer, as it came.
    pub(super) upstream: KeptHead,
    /// The head of the answer, as it was sent.
    pub(super) sent: KeptHead,
    /// The trailers of ours behind it, as a head of their own.
    pub(super) sent_trailers: KeptHead,
    /// The request's body, if it was small.
    pub(super) body: Option<Vec<u8>>,
}

/// Who `real_ip_header` says a request comes from.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) ip: IpAddr,
    pub(super) text: Box<str>,
    /// 0 where only an address was named.
    pub(super) port: u16,
}

impl Client {
    /// Who a connection speaks for, if its peer is believed.
    pub(super) fn of(real_ip: &RealIp, identity: &Identity, fields: FieldList<'_>) -> Option<Self> {
        let introduced = identity.introduction.as_deref().map(|from| from.client);
        let (ip, port) = real_ip.find(identity.ip, introduced, fields)?;
        Some(Self { ip, text: ip.to_string().into(), port })
    }
}

/// What becomes of the connection after an answer of our own.
#[derive(Debug, Clone, Copy)]
pub struct Rest {
    /// Another request may follow.
    pub keeps: bool,
    /// What is still to come of the request's body.
    pub body: Length,
}

/// What is known of the answer so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub status: u16,
    /// Sent to the client.
    pub bytes: u64,
    pub body_bytes: u64,
    /// Of the request's body, as they came.
    pub body_received: u64,
    /// The exchange came to its proper end.
    pub is_complete: bool,
}

impl Ongoing {
    /// Lets `work` evaluate what it likes.
    pub(super) fn with<R>(
        &mut self,
        seen: &Seen,
        work: impl FnOnce(Context<'_>, &Host, &KeptHead) -> R,
    ) -> R {
        let host = &self.http.hosts[self.host];
        let reads = self.http.variables.reads;
        let local = self.local_text();
        let all = self.tries.all();
        let attempts = if reads.tries { &*all } else { &[] };
        let address = |attempt: &Attempt| attempt.address.to_string();
        let addresses: Vec<String> = attempts.iter().map(address).collect();
        let tries: Vec<Try<'_>> = attempts.iter().zip(&addresses).map(a_try).collect();
        let facts = Facts {
            request_line: self.texts.head.first_line(),
            method: self.texts.head.method(),
            request_uri: &self.texts.request_uri,
            protocol: match self.terms.version {
                _ if self.texts.head.method().is_empty() => b"",
                Version::Http11 => b"HTTP/1.1",
                Version::Http10 => b"HTTP/1.0",
            },
            host: &self.texts.name,
            fields: self.texts.head.fields(),
            request_length: self.texts.head.bytes().len() as u64
                + if seen.body_received > 0 { seen.body_received } else { self.announced },
            unchunked: self.unchunked,
            request_body: self.kept.body.as_deref(),
            request_id: self.request_id,
            server_name: &host.name,
            connection: facts::Connection {
                remote_addr: self
                    .client
                    .as_ref()
                    .map_or(self.identity.ip, |client| Some(client.ip)),
                server_addr: local.as_bytes(),
                server_port: self.identity.local().port(),
                requests: self.requests,
                is_pipelined: self.is_pipelined,
                ..self.identity.facts(self.client.as_ref())
            },
            tls: self.tls.then(|| self.identity.tls_facts()),
            upstream: facts::Upstream {
                proxy_host: &self.texts.proxied.host,
                proxy_port: &self.texts.proxied.port,
                tries: &tries,
                fields: self.kept.upstream.fields(),
                ..facts::Upstream::default()
            },
            answer: facts::Answer {
                status: seen.status,
                fields: self.kept.sent.fields(),
                trailers: self.kept.sent_trailers.fields(),
                bytes_sent: seen.bytes,
                body_bytes_sent: seen.body_bytes,
                keeps_alive: self.terms.keep_alive,
                is_complete: seen.is_complete,
            },
            process: Process {
                hostname: &self.http.hostname,
                version: env!("CARGO_PKG_VERSION").as_bytes(),
                pid: if reads.pid { std::process::id() } else { 0 },
            },
            clock: Clock { read: now, request_ms: self.begun_ms },
        };
        let context =
            Context { variables: &self.http.variables, facts: &facts, state: &mut self.state };
        work(context, host, &self.texts.head)
    }

    /// Asks the server's `real_ip_header` who the client is.
    pub(super) fn find_client(&mut self) {
        let real_ip = self.http.hosts[self.host].real_ip.as_ref();
        let of = |real_ip| Client::of(real_ip, &self.identity, self.texts.head.fields());
        self.client = real_ip.and_then(of);
    }

    /// Who the client is, and the first name of the server, for the error log.
    pub fn parties(&self) -> (&str, &[u8]) {
        let client = self.client.as_ref().map_or(&*self.identity.address, |client| &client.text);
        (client, &self.http.hosts[self.host].name)
    }

    /// Where its errors go; `None`: where those of the process go.
    pub fn error_logs(&self) -> Option<(&LogTargets, &[ErrorLog])> {
        let logs = self.http.hosts[self.host].error_logs.as_deref();
        logs.map(|logs| (&self.http.logs, logs))
    }

    /// What the app is asked for, for the error log.
    pub fn target(&self) -> &[u8] {
        &self.texts.proxied.target
    }

    /// Puts another in its place; the one that was there.
    pub fn replace_target(&mut self, target: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.texts.proxied.target, target)
    }

    /// `$server_addr`, where something reads it.
    fn local_text(&self) -> String {
        if !self.http.variables.reads.server_addr {
            return String::new();
        }
        self.identity.local().host()
    }

    /// True when an error of that status has a page.
    pub fn has_page(&self, status: u16) -> bool {
        self.http.hosts[self.host].server.settings[self.location].error_pages.has(status)
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

    /// False where the app's answer is awaited though the client has gone.
    pub fn heeds_client(&self) -> bool {
        !matches!(&self.in_force().content, Content::Proxy(proxy) if proxy.ignores_abort)
    }

    /// What its location has in force.
    pub fn in_force(&self) -> &Location {
        &self.http.hosts[self.host].locations[self.location]
    }

    /// What becomes of the connection: it goes on if the body is little enough to be thrown away.
    pub fn rest(&self) -> Rest {
        let is_little = match self.length {
            Length::None => true,
            Length::Sized(bytes) => !self.expects_continue && bytes <= DISCARDED_BYTES_MAX,
            Length::Chunked => !self.expects_continue,
            Length::UntilClose => false,
        };
        Rest { keeps: self.terms.keep_alive && is_little, body: self.length }
    }

    /// Gives up what is left of the request at an app that has failed; how much of the input is its
    /// head still.
    pub(super) fn lose(&mut self, left: Left) -> usize {
        let head = match left {
            Left::Whole { head } => return head,
            Left::Nothing => 0,
            Left::Pieces => {
                self.terms.keep_alive = false;
                0
            }
        };
        self.is_spent |= self.length != Length::None;
        self.length = Length::None;
        head
    }

    /// A line for the error log.
    pub fn complain(&mut self, level: Level, words: String) {
        self.complaints.push((level, words));
    }

    /// The lines for the error log so far.
    pub fn take_complaints(&mut self) -> Vec<Complaint> {
        std::mem::take(&mut self.complaints)
    }

    /// Takes note of a body that has gone by, and its copy where one was asked for.
    pub fn keep_body(&mut self, body: &mut Body) {
        if self.length == Length::Chunked && body.is_done() {
            self.unchunked = Some(body.passed());
        }
        if let Some(kept) = body.take_kept() {
            self.kept.body = Some(kept);
        }
    }

    /// Keeps the head of an upstream's answer that is not passed on, where somebody reads it.
    pub fn keep_upstream(&mut self, raw: &[u8]) {
        if self.http.variables.reads.answer_fields {
            self.kept.upstream = KeptHead::of_answer(raw.to_vec());
        }
    }

    /// For an exchange that goes on for long.
    pub fn shrink(&mut self) {
        self.state.shrink();
        self.texts.shrink();
        self.kept.upstream.shrink();
        self.kept.sent.shrink();
    }

    /// What can be used by the next request.
    pub fn into_spare(self: Box<Self>) -> Spare {
        Spare { state: self.state, texts: self.texts }
    }
}

impl Texts {
    pub(super) fn clear(&mut self) {
        let Self { head: _, request_uri, name, proxied: Proxied { host, port, target } } = self;
        for text in [request_uri, name, host, port, target] {
            text.clear();
        }
    }

    fn shrink(&mut self) {
        let Self { head, request_uri, name, proxied: Proxied { host, port, target } } = self;
        head.shrink();
        for text in [request_uri, name, host, port, target] {
            text.shrink_to_fit();
        }
    }
}

impl Spare {
    /// False for one that takes more memory than requests usually need.
    pub fn is_small(&self) -> bool {
        let Texts { head, request_uri, proxied, .. } = &self.texts;
        head.capacity() + request_uri.capacity() + proxied.target.capacity() <= SPARE_BYTES_MAX
    }
}

impl Identity {
    /// The client's connection, on which `client` speaks, if not the peer.
    fn facts<'a>(&'a self, client: Option<&'a Client>) -> facts::Connection<'a> {
        let (remote_text, remote_port) = match client {
            Some(client) => (&*client.text, client.port),
            None => (&*self.address, self.port),
        };
        facts::Connection {
            remote_text: remote_text.as_bytes(),
            remote_port,
            peer_text: self.address.as_bytes(),
            peer_port: self.port,
            number: self.number,
            since_ms: self.since_ms,
            proxy_protocol: self.introduction.as_deref().map(Introduction::facts),
            ..facts::Connection::default()
        }
    }

    fn tls_facts(&self) -> Tls<'_> {
        let Some(handshake) = self.handshake.get() else { return Tls::default() };
        Tls {
            protocol: handshake.protocol.as_bytes(),
            cipher: handshake.cipher.as_bytes(),
            curve: handshake.curve.as_bytes(),
            server_name: handshake.server_name.as_deref().unwrap_or_default().as_bytes(),
            alpn: handshake.alpn.as_bytes(),
            session_reused: handshake.resumed,
            early_data: false,
            client: None,
        }
    }
}

impl Introduction {
    fn facts(&self) -> facts::ProxyProtocol<'_> {
        facts::ProxyProtocol {
            addr: self.client_text.as_bytes(),
            port: self.client.port(),
            server_addr: self.server_text.as_bytes(),
            server_port: self.server_port,
        }
    }
}

fn now() -> Now {
    Now { unix_ms: unix_ms(), offset_s: log::local_offset_s() }
}

fn a_try<'a>((attempt, address): (&Attempt, &'a String)) -> Try<'a> {
    Try {
        addr: address.as_bytes(),
        is_elsewhere: attempt.is_elsewhere,
        status: attempt.status,
        connect_ms: attempt.connect_ms,
        header_ms: attempt.header_ms,
        response_ms: attempt.response_ms,
        bytes_received: attempt.received,
        bytes_sent: attempt.sent,
        response_length: attempt.body,
    }
}

/// Texts of most requests.
const SPARE_BYTES_MAX: usize = 8 << 10;

/// A request's number for logs, made only where something reads it.
pub(super) fn request_id(http: &Http) -> [u8; 16] {
    let mut id = [0; 16];
    if http.variables.reads.request_id {
        // Without random bytes the number is not unique, which harms nobody.
        let _ = aws_lc_rs::rand::fill(&mut id);
    }
    id
}
