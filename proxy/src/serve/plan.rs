//! From a request's head, or from an error on its way, to what is to be done.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use super::ongoing::{self, Kept, Ongoing, Seen};
use super::own;
use super::request::{self, Proxied};
use crate::buf::Buf;
use crate::fault::Refusal;
use crate::h1::framing::{self, Length};
use crate::h1::head::{self, Table, Version};
use crate::h1::name::Name;
use crate::h1::target::Target;
use crate::h1::websocket::Upgrade;
use crate::limits::Limits;
use crate::log;
use crate::plan::{Forward, Terms, wants_keep_alive};
use crate::record::Identity;
use crate::relay::Body;
use crate::route::evaluate::Context;
use crate::route::http::{Content, Host, Http};
use crate::route::names;
use crate::route::phases::{Decision, Probe, Run};
use crate::route::state::State;
use crate::route::uri;
use crate::tries::Tries;

/// What is to be done with a request.
#[derive(Debug)]
pub enum Deed {
    Forward(Forward),
    /// An answer of our own: head, and `body` bytes behind it.
    Reply {
        status: u16,
        bytes: Vec<u8>,
        body: u64,
    },
    /// No answer; the status is for the log.
    Close {
        status: u16,
    },
}

/// What is known of the connection a request came on.
#[derive(Debug)]
pub struct Arrived {
    pub http: Arc<Http>,
    pub identity: Rc<Identity>,
    pub tries: Rc<Tries>,
    /// When the first byte of the request came.
    pub begun_ms: u64,
    pub tls: bool,
    pub local: SocketAddr,
    pub requests: u64,
    /// It had come before the request before it was answered.
    pub is_pipelined: bool,
    pub draining: bool,
    pub state: Box<State>,
}

/// A request that has been understood.
#[derive(Debug)]
pub struct Begun {
    pub terms: Terms,
    pub ongoing: Box<Ongoing>,
    pub deed: Deed,
}

/// Decides for the request whose head is the first `head_len` bytes of `input`; where it is
/// proxied, the app's head takes its place.
///
/// Errors: the status that the request is refused with; `request` then says what is known of it.
pub fn begin(
    input: &mut Buf,
    head_len: usize,
    arrived: Arrived,
    limits: &Limits,
    said: &mut log::Request,
    scratch: &mut Vec<u8>,
) -> Result<Begun, Refusal> {
    let raw = &input.data()[..head_len];
    let line = &raw[..memchr::memchr(b'\r', raw).unwrap_or(raw.len())];
    said.set(line, b"", b"", b"");
    let mut table = Table::default();
    let head = head::parse_request(raw, &mut table, limits)?;
    let of = |name| head.fields.first(name).unwrap_or_default();
    said.set(line, of(Name::Host), of(Name::Referer), of(Name::UserAgent));
    let target = Target::of(&head)?;
    let length = framing::request(&head)?;
    let upgrade = Upgrade::of(&head, length)?;
    let expects_continue = head.version == Version::Http11
        && length != Length::None
        && head.fields.lists(Name::Expect, b"100-continue");
    let terms = Terms {
        version: head.version,
        to_head: head.method == "HEAD",
        keep_alive: wants_keep_alive(&head) && !arrived.draining,
        has_body: length != Length::None,
        site: 0,
    };
    let mut ongoing = ongoing(arrived, raw, target.authority.as_bytes(), terms);
    let uri = if head.target == "*" { "*" } else { target.path_and_query };
    ongoing.request_uri.extend_from_slice(uri.as_bytes());
    (ongoing.length, ongoing.upgrade) = (length, upgrade);
    ongoing.find_client(head.fields.list());
    let merge_slashes = ongoing.http.hosts[ongoing.host].merge_slashes;
    let body = &input.data()[head_len..];
    let decided = decide(&mut ongoing, body, scratch, |run| run.begin(merge_slashes).ok());
    let deed = decided.ok_or(Refusal::bad_request("request target is malformed"))?;
    let deed = forwarded(deed, input, head_len, &mut ongoing, expects_continue, scratch)?;
    Ok(Begun { terms, ongoing, deed })
}

/// A request that was refused before it was understood, for the logs and pages of its server:
/// that of its Host, or else of the handshake's `server_name`. `head` is what is known of its head,
/// perhaps a part of a line.
pub fn refused(arrived: Arrived, head: &[u8], server_name: &[u8]) -> Box<Ongoing> {
    let mut table = Table::default();
    let parsed = head::lenient_request(head, &mut table);
    let mut fields = parsed.fields.iter();
    let host = fields.find(|field| field.name.eq_ignore_ascii_case("host"));
    let asked = host.map_or(server_name, |field| field.value);
    let terms = Terms {
        version: parsed.version,
        to_head: parsed.method == "HEAD",
        keep_alive: false,
        has_body: false,
        site: 0,
    };
    let mut ongoing = ongoing(arrived, head, asked, terms);
    if parsed.target.starts_with('/') {
        let target = parsed.target.as_bytes();
        ongoing.request_uri.extend_from_slice(target);
        if let Ok(normal) = uri::normalise(target, true, &mut ongoing.state.uri) {
            ongoing.state.args.extend_from_slice(&target[normal.args]);
        }
    }
    ongoing.find_client(parsed.fields);
    ongoing
}

/// The last answer on a connection: the page that its location has for the status, or the usual
/// one with what the location adds, and how much of it is body. `fields` are those that belong to
/// the status. `None`: the location does not want it answered here.
pub fn last_words(
    ongoing: &mut Ongoing,
    status: u16,
    fields: &[u8],
) -> Option<(u16, Vec<u8>, u64)> {
    ongoing.terms.keep_alive = false;
    let location = ongoing.location;
    let choice = decide(ongoing, b"", &mut Vec::new(), |run| Some(run.fail(status, location)))?;
    let Choice::Reply(reply) = choice else { return None };
    match reply.with_fields(fields).finish(ongoing) {
        Deed::Reply { status, bytes, body } => Some((status, bytes, body)),
        Deed::Forward(_) | Deed::Close { .. } => None,
    }
}

/// What is done about an error of the upstream: an error page.
pub fn fail(
    ongoing: &mut Ongoing,
    status: u16,
    input: &mut Buf,
    head_len: usize,
    scratch: &mut Vec<u8>,
) -> Option<Deed> {
    let location = ongoing.location;
    // Another location knows nothing of where the request was sent.
    ongoing.proxy_host.clear();
    ongoing.proxy_port.clear();
    let body = &input.data()[head_len..];
    let choice = decide(ongoing, body, scratch, |run| Some(run.fail(status, location)))?;
    forwarded(choice, input, head_len, ongoing, false, scratch).ok()
}

/// What a decision comes to.
enum Choice {
    /// The app's head is in the scratch buffer.
    Proxy {
        upstream: Arc<crate::config::Upstream>,
        upgrade: Upgrade,
    },
    Reply(own::Reply),
    Close {
        status: u16,
    },
}

/// Runs the phases from where `start` sets out until something can be done. `body` is what has come
/// of the request's.
fn decide(
    ongoing: &mut Ongoing,
    body: &[u8],
    scratch: &mut Vec<u8>,
    start: impl FnOnce(&mut Run<'_, '_>) -> Option<Decision>,
) -> Option<Choice> {
    let (local, tls, length, upgrade) =
        (ongoing.local, ongoing.tls, ongoing.length, ongoing.upgrade);
    let http = ongoing.http.clone();
    let mut proxied = Proxied::default();
    let mut place = ongoing.location;
    let choice = ongoing.with(&Seen::default(), |context, host, parsed| {
        let mut probe = |path: &[u8]| probe(path);
        let mut run = Run::new(&host.server, context, &mut probe);
        let mut decision = start(&mut run)?;
        loop {
            let Decision::Content(location) = decision else {
                let author = own::Author { host, local, tls };
                let (location, choice) = author.answer(decision, &mut run.context);
                place = location;
                return Some(match choice {
                    Some(reply) => Choice::Reply(reply),
                    None => Choice::Close { status: closing(decision) },
                });
            };
            place = location;
            let Content::Proxy(proxy) = &host.locations[location].content else {
                // Files come from a room of their own, which is not built yet.
                decision = match run.context.state.status_override {
                    0 => run.fail(404, location),
                    status => Decision::Status { status, location },
                };
                continue;
            };
            if is_too_large(host, location, length) {
                decision = run.fail(413, location);
                continue;
            }
            let kept = host.locations[location].body_kept_bytes;
            let body = whole(body, length).filter(|body| body.len() <= kept);
            let asked = request::Asked { host, proxy, parsed, body, length, upgrade, http: &http };
            match asked.write(&mut run.context, scratch, &mut proxied) {
                Ok((upstream, upgrade)) => return Some(Choice::Proxy { upstream, upgrade }),
                Err(status) => decision = run.fail(status, location),
            }
        }
    });
    ongoing.location = place;
    (ongoing.proxy_host, ongoing.proxy_port) = (proxied.host, proxied.port);
    if !proxied.target.is_empty() {
        ongoing.target = proxied.target;
    }
    choice
}

/// A body of known length, if all of it has come.
fn whole(body: &[u8], length: Length) -> Option<&[u8]> {
    match length {
        Length::Sized(bytes) => body.get(..usize::try_from(bytes).ok()?),
        Length::None | Length::Chunked | Length::UntilClose => None,
    }
}

fn closing(decision: Decision) -> u16 {
    match decision {
        Decision::Close { status, .. } => status,
        _ => 444,
    }
}

fn is_too_large(host: &Host, location: usize, length: Length) -> bool {
    let limit = host.locations[location].limits.request_body_bytes_max;
    matches!((length, limit), (Length::Sized(bytes), Some(limit)) if bytes > limit)
}

/// Puts the app's head in its place, where the choice is to proxy.
fn forwarded(
    choice: Choice,
    input: &mut Buf,
    head_len: usize,
    ongoing: &mut Ongoing,
    expects_continue: bool,
    scratch: &[u8],
) -> Result<Deed, Refusal> {
    let (upstream, upgrade) = match choice {
        Choice::Reply(reply) => return Ok(reply.finish(ongoing)),
        Choice::Close { status } => return Ok(Deed::Close { status }),
        Choice::Proxy { upstream, upgrade } => (upstream, upgrade),
    };
    let limits = ongoing.in_force().limits.clone();
    let mut body = Body::of_request(ongoing.length, limits.request_body_bytes_max)?;
    if ongoing.http.variables.reads.request_body {
        let max = ongoing.in_force().body_kept_bytes;
        ongoing.kept.body = whole(&input.data()[head_len..], ongoing.length)
            .filter(|body| body.len() <= max)
            .map(<[u8]>::to_vec);
        if ongoing.kept.body.is_none() {
            body.keep(max);
        }
    }
    input.replace_front(head_len, scratch);
    let method = scratch.split(|byte| *byte == b' ').next().unwrap_or_default();
    Ok(Deed::Forward(Forward {
        upstream,
        head: scratch.len(),
        body,
        upgrade,
        repeatable: ongoing.length == Length::None
            && matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE"),
        expects_continue,
        limits: Some(limits),
        ongoing: None,
    }))
}

/// The server that answers for a name on the address the request came to.
fn host_of(arrived: &mut Arrived, name: &[u8]) -> usize {
    let Arrived { http, state, local, .. } = arrived;
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    let any: IpAddr = match local {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let names = http.names.get(&local).or_else(|| http.names.get(&(any, local.port()).into()));
    names.map_or(0, |names| names.find(name, state, &http.variables))
}

/// What is known of a request when its server has been found.
fn ongoing(mut arrived: Arrived, raw: &[u8], asked: &[u8], terms: Terms) -> Box<Ongoing> {
    arrived.state.begin(&arrived.http.variables);
    let mut name = Vec::new();
    if let Some(host) = names::Host::parse(asked) {
        host.append_lowercase(&mut name);
    }
    let host = host_of(&mut arrived, &name);
    Box::new(Ongoing {
        request_id: ongoing::request_id(&arrived.http),
        http: arrived.http,
        state: arrived.state,
        head: raw.to_vec(),
        request_uri: Vec::new(),
        name,
        host,
        location: 0,
        terms,
        length: Length::None,
        upgrade: Upgrade::None,
        identity: arrived.identity,
        local: arrived.local,
        tls: arrived.tls,
        requests: arrived.requests,
        is_pipelined: arrived.is_pipelined,
        begun_ms: arrived.begun_ms,
        proxy_host: Vec::new(),
        proxy_port: Vec::new(),
        target: Vec::new(),
        tries: arrived.tries,
        client: None,
        kept: Kept::default(),
    })
}

/// What `try_files` and `if (-f ...)` ask of the file system; a call that may wait for the disk.
pub fn probe(path: &[u8]) -> Probe {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = std::fs::metadata(OsStr::from_bytes(path)) else { return Probe::Nothing };
    let is_executable = metadata.permissions().mode() & 0o100 != 0;
    if metadata.is_dir() {
        Probe::Directory { is_executable }
    } else if metadata.is_file() {
        Probe::File { is_executable }
    } else {
        Probe::Other
    }
}

/// Appends `value` of a template that may be missing.
pub(super) fn optional(
    template: Option<&crate::route::template::Template>,
    context: &mut Context<'_>,
) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    context.append(template?, &mut out);
    Some(out)
}
