//! From a request's head, or from an error on its way, to what is to be done.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::ongoing::{self, Ongoing, Seen};
use super::{own, request};
use crate::buf::Buf;
use crate::fault::Refusal;
use crate::h1::framing::{self, Length};
use crate::h1::head::{self, RequestHead, Table, Version};
use crate::h1::name::Name;
use crate::h1::target::Target;
use crate::h1::websocket::Upgrade;
use crate::limits::Limits;
use crate::log;
use crate::plan::{Forward, Terms, wants_keep_alive};
use crate::record::Identity;
use crate::relay::Body;
use crate::route::evaluate::Context;
use crate::route::http::{Content, Host, Http, RequestBody};
use crate::route::names;
use crate::route::phases::{Decision, Probe, Run};
use crate::route::state::State;

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
pub struct Arrived<'a> {
    pub http: &'a Arc<Http>,
    pub limits: &'a Limits,
    pub identity: &'a Rc<Identity>,
    pub tls: bool,
    pub local: SocketAddr,
    pub requests: u64,
    /// Of the connection.
    pub age: Duration,
    pub draining: bool,
    pub state: Box<State>,
}

/// A request that has been understood.
#[derive(Debug)]
pub struct Begun {
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
    mut arrived: Arrived<'_>,
    said: &mut log::Request,
    scratch: &mut Vec<u8>,
) -> Result<Begun, Refusal> {
    let raw = &input.data()[..head_len];
    let line = &raw[..memchr::memchr(b'\r', raw).unwrap_or(raw.len())];
    said.set(line, b"", b"", b"");
    let mut table = Table::default();
    let head = head::parse_request(raw, &mut table, arrived.limits)?;
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
    arrived.state.begin(&arrived.http.variables);
    let mut name = Vec::new();
    if let Some(host) = names::Host::parse(target.authority.as_bytes()) {
        host.append_lowercase(&mut name);
    }
    let host = arrived.http.server_of(arrived.local, &name, &mut arrived.state);
    let takes = arrived.http.hosts[host].request_fields;
    if head.fields.list().len() > takes.max {
        return Err(head::TOO_MANY_FIELDS);
    }
    let mut ongoing = Box::new(ongoing(&head, &target, arrived, raw, name, host, terms));
    (ongoing.length, ongoing.upgrade) = (length, upgrade);
    ongoing.leaves_out = head.fields.list().iter().any(|field| !takes.takes(field.name.as_bytes()));
    let merge_slashes = ongoing.http.hosts[host].merge_slashes;
    let decided = decide(&mut ongoing, scratch, |run| run.begin(merge_slashes).ok());
    let deed = decided.ok_or(Refusal::bad_request("request target is malformed"))?;
    let deed = forwarded(deed, input, head_len, &mut ongoing, expects_continue, scratch)?;
    Ok(Begun { ongoing, deed })
}

/// What is done about an error of the upstream: an error page, if the location has one that is
/// not another error. `None` where there is none.
pub fn fail(
    ongoing: &mut Ongoing,
    status: u16,
    input: &mut Buf,
    head_len: usize,
    scratch: &mut Vec<u8>,
) -> Option<Deed> {
    let location = ongoing.location;
    if ongoing.http.hosts[ongoing.host].server.settings[location].error_pages.is_empty() {
        return None;
    }
    let choice = decide(ongoing, scratch, |run| Some(run.fail(status, location)))?;
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

/// Runs the phases from where `start` sets out until something can be done.
fn decide(
    ongoing: &mut Ongoing,
    scratch: &mut Vec<u8>,
    start: impl FnOnce(&mut Run<'_, '_>) -> Option<Decision>,
) -> Option<Choice> {
    let (local, tls, length, upgrade) =
        (ongoing.local, ongoing.tls, ongoing.length, ongoing.upgrade);
    let http = ongoing.http.clone();
    let mut proxied = (Vec::new(), Vec::new());
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
            let asked = request::Asked { proxy, parsed, length, upgrade, http: &http };
            match asked.write(&mut run.context, scratch, &mut proxied) {
                Ok((upstream, upgrade)) => return Some(Choice::Proxy { upstream, upgrade }),
                Err(status) => decision = run.fail(status, location),
            }
        }
    });
    ongoing.settle(place);
    (ongoing.proxy_host, ongoing.proxy_port) = proxied;
    choice
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
    let location = ongoing.in_force();
    let limits = location.limits.clone();
    let body = Body::of_request(ongoing.length, limits.request_body_bytes_max)?;
    let own = match &location.content {
        Content::Proxy(proxy) => match proxy.body {
            RequestBody::Set(_) => true,
            RequestBody::Dropped => ongoing.length != Length::None,
            RequestBody::Passed => false,
        },
        Content::Files => false,
    };
    if own {
        input.consume(head_len);
    } else {
        input.replace_front(head_len, scratch);
    }
    let method = scratch.split(|byte| *byte == b' ').next().unwrap_or_default();
    Ok(Deed::Forward(Forward {
        upstream,
        head: if own { 0 } else { scratch.len() },
        instead: own.then(|| scratch.to_vec()),
        body,
        upgrade,
        repeatable: ongoing.length == Length::None
            && matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE"),
        expects_continue,
        limits: Some(limits),
        ongoing: None,
    }))
}

fn ongoing(
    head: &RequestHead<'_, '_>,
    target: &Target<'_>,
    arrived: Arrived<'_>,
    raw: &[u8],
    name: Vec<u8>,
    host: usize,
    terms: Terms,
) -> Ongoing {
    Ongoing {
        request_id: ongoing::request_id(arrived.http),
        http: arrived.http.clone(),
        state: arrived.state,
        head: raw.to_vec(),
        request_uri: if head.target == "*" {
            b"*".to_vec()
        } else {
            target.path_and_query.as_bytes().to_vec()
        },
        name,
        host,
        location: 0,
        terms,
        length: Length::None,
        upgrade: Upgrade::None,
        identity: arrived.identity.clone(),
        local: arrived.local,
        tls: arrived.tls,
        requests: arrived.requests,
        age: arrived.age,
        leaves_out: false,
        begun_ms: ongoing::now_ms(),
        proxy_host: Vec::new(),
        proxy_port: Vec::new(),
    }
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
