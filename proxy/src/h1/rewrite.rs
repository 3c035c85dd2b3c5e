//! Heads as the other side gets them: what concerns one hop is left out, what the other side must
//! know is added.
//!
//! Fields that stay are copied in runs as they came, not one by one; the new head is then put in
//! front of the body.

use std::io::Write;

use httparse::Header;

use super::framing::{self, Length};
use super::head::{AnswerHead, Fields, RequestHead, Version, tokens};
use super::name::Name;
use super::target::Target;
use super::websocket::Upgrade;
use crate::config::App;

/// What the app is told about the client.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded<'a> {
    /// The peer's address in digits.
    pub client: &'a str,
    /// The peer is one of `trusted_proxies`: what it says of the client before it is kept.
    pub trusted: bool,
    pub tls: bool,
    pub app: App,
}

/// The path as the app sees it.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    /// Put before `rest`: `/` where a prefix was taken off.
    pub lead: &'a str,
    pub rest: &'a str,
}

/// A request as it has been understood.
#[derive(Debug)]
pub struct Incoming<'a, 't, 'b> {
    pub head: &'a RequestHead<'t, 'b>,
    /// The bytes that `head` was parsed from.
    pub raw: &'b [u8],
    pub target: Target<'b>,
    pub length: Length,
    pub upgrade: Upgrade,
}

/// Writes the head of a request for the upstream.
pub fn request(
    out: &mut Vec<u8>,
    incoming: &Incoming<'_, '_, '_>,
    path: Path<'_>,
    forwarded: &Forwarded<'_>,
) {
    let Incoming { head, raw, target, length, upgrade } = incoming;
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(path.lead.as_bytes());
    out.extend_from_slice(path.rest.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    field(out, "Host", target.authority.as_bytes());
    let keeps_forwarding = forwarded.trusted;
    copy_fields(out, &head.fields, raw, |name| match name {
        Name::Host | Name::ContentLength | Name::Expect | Name::Proxy => false,
        // Trusted or not, these are written below.
        Name::XForwardedFor
        | Name::XForwardedHost
        | Name::XForwardedPort
        | Name::XForwardedProto
        | Name::XRealIp
        | Name::XRscRequest
        | Name::XRstudioRequest => false,
        name if name.is_forwarding() => keeps_forwarding,
        _ => true,
    });
    match upgrade {
        Upgrade::None => {}
        Upgrade::WebSocket { .. } => {
            out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: websocket\r\n");
        }
    }
    match length {
        Length::Sized(bytes) => number_field(out, "Content-Length", *bytes),
        Length::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Length::None if head.fields.has(Name::ContentLength) => {
            out.extend_from_slice(b"Content-Length: 0\r\n");
        }
        Length::None | Length::UntilClose => {}
    }
    forwarding_fields(out, head, target, forwarded);
    out.extend_from_slice(b"\r\n");
}

/// X-Forwarded-* and the app's own header, each with one value (RFC 7239 has no users among the
/// apps).
fn forwarding_fields(
    out: &mut Vec<u8>,
    head: &RequestHead<'_, '_>,
    target: &Target<'_>,
    forwarded: &Forwarded<'_>,
) {
    let told = |name| match head.fields.only(name) {
        Ok(Some(value)) if forwarded.trusted && is_single(value) => Some(value),
        _ => None,
    };
    let scheme: &[u8] = if forwarded.tls { b"https" } else { b"http" };
    let scheme = told(Name::XForwardedProto).unwrap_or(scheme);
    let host = told(Name::XForwardedHost).unwrap_or(target.authority.as_bytes());

    out.extend_from_slice(b"X-Forwarded-For: ");
    if forwarded.trusted {
        for value in head.fields.all(Name::XForwardedFor) {
            out.extend_from_slice(value);
            out.extend_from_slice(b", ");
        }
    }
    out.extend_from_slice(forwarded.client.as_bytes());
    out.extend_from_slice(b"\r\n");
    field(out, "X-Real-IP", told(Name::XRealIp).unwrap_or(forwarded.client.as_bytes()));
    field(out, "X-Forwarded-Proto", scheme);
    field(out, "X-Forwarded-Host", host);
    match told(Name::XForwardedPort) {
        Some(port) => field(out, "X-Forwarded-Port", port),
        None => {
            let default = if scheme == b"https" { 443 } else { 80 };
            number_field(out, "X-Forwarded-Port", target.port.unwrap_or(default).into());
        }
    }
    let own = match forwarded.app {
        App::Shiny => return,
        App::Workbench => "X-RStudio-Request",
        App::Connect => "X-RSC-Request",
    };
    let parts =
        [own.as_bytes(), b": ", scheme, b"://", host, target.path_and_query.as_bytes(), b"\r\n"];
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// How an answer goes out.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    pub client: Version,
    pub keep_alive: bool,
    /// `None` on plain HTTP, where the app's own is dropped too (RFC 6797 section 7.2); else a
    /// whole field line that replaces the app's, or empty.
    pub hsts: Option<&'a [u8]>,
    pub body: OutgoingBody,
}

/// The framing of an answer's body on the client's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutgoingBody {
    /// None by its status.
    None,
    /// None, but fields that describe it stay: HEAD and 304.
    Described,
    Sized(u64),
    Chunked,
    /// For HTTP/1.0 clients.
    UntilClose,
    /// 101: no framing any more.
    Tunnel,
}

impl Outgoing<'_> {
    /// Whether fields of that name pass, as far as framing and HSTS go.
    fn passes(&self, name: Name) -> bool {
        match name {
            Name::ContentLength => self.body == OutgoingBody::Described,
            Name::StrictTransportSecurity => self.hsts.is_some_and(<[u8]>::is_empty),
            // Names what follows a chunked body; without chunks nothing does.
            Name::Trailer => self.body == OutgoingBody::Chunked,
            _ => true,
        }
    }
}

impl OutgoingBody {
    /// How a body of `length` goes to a client of `version`.
    pub fn of(length: Length, status: u16, to_head: bool, version: Version) -> Self {
        let chunks = version == Version::Http11;
        match length {
            Length::None if status == 304 => Self::Described,
            // RFC 9110 section 8.6: no Content-Length in 1xx and 204, also when HEAD asked.
            Length::None if framing::is_bodyless(status) => Self::None,
            Length::None if to_head => Self::Described,
            Length::None => Self::Sized(0),
            Length::Sized(bytes) => Self::Sized(bytes),
            Length::Chunked | Length::UntilClose if chunks => Self::Chunked,
            Length::Chunked | Length::UntilClose => Self::UntilClose,
        }
    }
}

/// Writes the head of an answer for the client.
pub fn answer(out: &mut Vec<u8>, head: &AnswerHead<'_, '_>, raw: &[u8], outgoing: &Outgoing<'_>) {
    status_line(out, head.status, head.reason);
    copy_fields(out, &head.fields, raw, |name| outgoing.passes(name));
    end_answer(out, outgoing);
}

pub fn status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Whether a field of an answer may go to the client at all.
pub fn goes_to_client(
    fields: &Fields<'_, '_>,
    name: Name,
    header: &Header<'_>,
    outgoing: &Outgoing<'_>,
) -> bool {
    let nominated = || {
        fields.all(Name::Connection).flat_map(tokens).any(is_nomination)
            && fields.lists(Name::Connection, header.name.as_bytes())
    };
    !name.is_hop_by_hop() && outgoing.passes(name) && !is_alias(name, header) && !nominated()
}

/// Writes the framing, what becomes of the connection, and the empty line.
pub fn end_answer(out: &mut Vec<u8>, outgoing: &Outgoing<'_>) {
    match outgoing.body {
        OutgoingBody::Sized(bytes) => number_field(out, "Content-Length", bytes),
        OutgoingBody::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        OutgoingBody::None
        | OutgoingBody::Described
        | OutgoingBody::UntilClose
        | OutgoingBody::Tunnel => {}
    }
    out.extend_from_slice(outgoing.hsts.unwrap_or_default());
    out.extend_from_slice(match (outgoing.body, outgoing.keep_alive, outgoing.client) {
        (OutgoingBody::Tunnel, _, _) => b"Connection: upgrade\r\nUpgrade: websocket\r\n",
        (_, false, _) => b"Connection: close\r\n",
        (_, true, Version::Http10) => b"Connection: keep-alive\r\n",
        (_, true, Version::Http11) => b"",
    });
    out.extend_from_slice(b"\r\n");
}

/// Writes an interim answer (1xx other than 100 and 101).
pub fn interim(out: &mut Vec<u8>, head: &AnswerHead<'_, '_>, raw: &[u8]) {
    let outgoing = Outgoing {
        client: Version::Http11,
        keep_alive: true,
        hsts: Some(b""),
        body: OutgoingBody::None,
    };
    answer(out, head, raw, &outgoing);
}

/// Copies the field lines that stay: not those of one hop, not those that any Connection field
/// names, not aliases of guarded ones, and not those for which `stays` says no.
fn copy_fields(
    out: &mut Vec<u8>,
    fields: &Fields<'_, '_>,
    raw: &[u8],
    stays: impl Fn(Name) -> bool,
) {
    let nominating = fields.all(Name::Connection).flat_map(tokens).any(is_nomination);
    let offset = |name: &str| name.as_ptr() as usize - raw.as_ptr() as usize;
    let mut run: Option<usize> = None;
    for (name, header) in fields.iter() {
        let is_left_out = name.is_hop_by_hop()
            || !stays(name)
            || is_alias(name, header)
            || nominating && fields.lists(Name::Connection, header.name.as_bytes());
        match (is_left_out, run) {
            (false, None) => run = Some(offset(header.name)),
            (true, Some(start)) => {
                out.extend_from_slice(&raw[start..offset(header.name)]);
                run = None;
            }
            _ => {}
        }
    }
    if let Some(start) = run {
        // The head ends in an empty line; ours comes later.
        out.extend_from_slice(&raw[start..raw.len() - 2]);
    }
}

fn is_alias(name: Name, header: &Header<'_>) -> bool {
    name == Name::Other && Name::aliased(header.name.as_bytes()).is_some()
}

/// True for a word of Connection that may be the name of a field.
pub fn is_nomination(word: &[u8]) -> bool {
    ![&b"close"[..], b"keep-alive", b"upgrade"].iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// One value without a comma: "https,http" in X-Forwarded-Proto breaks the apps behind.
fn is_single(value: &[u8]) -> bool {
    !value.is_empty() && !value.contains(&b',')
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn number_field(out: &mut Vec<u8>, name: &str, value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

/// The line before `bytes` of chunked data.
pub fn chunk_size_line(out: &mut Vec<u8>, bytes: usize) {
    write!(out, "{bytes:x}\r\n").expect("writing to a Vec can't fail");
}
