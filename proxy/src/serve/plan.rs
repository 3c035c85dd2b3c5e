//! From a request's head, or from an error on its way, to what is to be done.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use super::content::{Contents, probe, whole};
use super::files;
use super::ongoing::{self, Client, Kept, Ongoing, Seen, Spare};
use super::own;
use super::request::{Named, announced};
use crate::buf::Buf;
use crate::config::Level;
use crate::context::HeldHttp;
use crate::fault::Refusal;
use crate::files::FileBody;
use crate::h1::framing::{self, Length};
use crate::h1::head::{self, Table, Version};
use crate::h1::kept::KeptHead;
use crate::h1::name::{Name, NameSet};
use crate::h1::target::Target;
use crate::h1::websocket::Upgrade;
use crate::limits::Limits;
use crate::log;
use crate::plan::{Destination, Forward, Terms, Upload};
use crate::record::Identity;
use crate::relay::Body;
use crate::route::evaluate::Context;
use crate::route::http::{Content, RequestBody};
use crate::route::names;
use crate::route::phases::{Decision, Run};
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
    /// An answer from a file.
    File {
        status: u16,
        head: Vec<u8>,
        body: FileBody,
    },
    /// No answer; the status is for the log.
    Close {
        status: u16,
    },
}

/// What is known of the connection a request came on.
#[derive(Debug)]
pub struct Arrived {
    pub http: HeldHttp,
    pub identity: Rc<Identity>,
    pub tries: Rc<Tries>,
    /// When the first byte of the request came.
    pub begun_ms: u64,
    pub tls: bool,
    pub requests: u64,
    /// It had come before the request before it was answered.
    pub is_pipelined: bool,
    /// Of the connection.
    pub age: Duration,
    pub draining: bool,
    pub spare: Spare,
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
    if head.fields.repeats(ONCE) {
        return Err(Refusal::bad_request("client sent duplicate header line"));
    }
    let target = Target::of(&head)?;
    let length = framing::request(&head)?;
    let upgrade = Upgrade::of(&head, length)?;
    let expects_continue = head.version == Version::Http11
        && length != Length::None
        && head.fields.lists(Name::Expect, b"100-continue");
    let terms = Terms {
        version: head.version,
        to_head: head.method == "HEAD",
        keep_alive: head.fields.keep_alive(head.version) && !arrived.draining,
        has_body: length != Length::None,
        site: 0,
    };
    let mut ongoing = ongoing(arrived, target.authority.as_bytes(), terms);
    let uri = if head.target == "*" { "*" } else { target.path_and_query };
    ongoing.texts.request_uri.extend_from_slice(uri.as_bytes());
    (ongoing.length, ongoing.upgrade) = (length, upgrade);
    ongoing.expects_continue = expects_continue;
    let takes = ongoing.http.hosts[ongoing.host].request_fields;
    if head.fields.list().len() > takes.max {
        return Err(head::TOO_MANY_FIELDS);
    }
    ongoing.texts.head.set_request(raw, &head, |field| takes.takes(field));
    ongoing.find_client();
    let merge_slashes = ongoing.http.hosts[ongoing.host].merge_slashes;
    let body = &input.data()[head_len..];
    let decided = decide(&mut ongoing, body, scratch, |run| run.begin(merge_slashes).ok());
    let deed = decided.ok_or(Refusal::bad_request("request target is malformed"))?;
    let deed = forwarded(deed, input, head_len, &mut ongoing, scratch)?;
    Ok(Begun { ongoing, deed })
}

/// A request that was refused before it was understood, for the logs and pages of its server:
/// that of its Host, or else of the handshake's `server_name`. `head` is what is known of its head,
/// perhaps a part of a line.
pub fn refused(arrived: Arrived, head: &[u8], server_name: &[u8]) -> Box<Ongoing> {
    let (head, version) = KeptHead::lenient_request(head, |_| true);
    let asked = head.fields().first(Name::Host).unwrap_or(server_name);
    let terms = Terms {
        version,
        to_head: head.method() == b"HEAD",
        keep_alive: false,
        has_body: false,
        site: 0,
    };
    let mut ongoing = ongoing(arrived, asked, terms);
    let target = head.target();
    if target.starts_with(b"/") {
        match uri::normalise(target, true, &mut ongoing.state.uri) {
            Ok(normal) => {
                ongoing.texts.request_uri.extend_from_slice(target);
                ongoing.state.args.extend_from_slice(&target[normal.args]);
            }
            Err(_) => ongoing.state.uri.clear(),
        }
    }
    ongoing.texts.head = head;
    ongoing.find_client();
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
        Deed::Forward(_) | Deed::File { .. } | Deed::Close { .. } => None,
    }
}

/// What is left of a request at an app that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// All of it: so many bytes of a head, and the body as it came.
    Whole { head: usize },
    /// Nothing: the body has been sent to its end.
    Nothing,
    /// Some of the body, which nobody can use.
    Pieces,
}

/// What is done about an error of the upstream: the error page of the location, or our own with the
/// fields that the location adds. `None` where not even that can be had.
pub fn fail(
    ongoing: &mut Ongoing,
    status: u16,
    left: Left,
    input: &mut Buf,
    scratch: &mut Vec<u8>,
) -> Option<Deed> {
    let location = ongoing.location;
    if ongoing.upgrade != Upgrade::None {
        // Frames that were sent too soon must not be taken for another request.
        ongoing.terms.keep_alive = false;
        ongoing.upgrade = Upgrade::None;
    }
    again(ongoing, left, input, scratch, |run| run.fail(status, location))
}

/// Decides once more, with what is `left` of the request.
pub(super) fn again(
    ongoing: &mut Ongoing,
    left: Left,
    input: &mut Buf,
    scratch: &mut Vec<u8>,
    start: impl FnOnce(&mut Run<'_, '_>) -> Decision,
) -> Option<Deed> {
    let head = ongoing.lose(left);
    let body = &input.data()[head..];
    let choice = decide(ongoing, body, scratch, |run| Some(start(run)))?;
    forwarded(choice, input, head, ongoing, scratch).ok()
}

/// What a decision comes to.
pub(super) enum Choice {
    /// The app's head is in the scratch buffer.
    Proxy {
        /// Where variables named it.
        named: Option<Named>,
        upgrade: Upgrade,
    },
    /// With the lines of an answer of status 416.
    File(Box<crate::files::Answer>, Vec<u8>),
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
    let mut step = advance(ongoing, body, scratch, start)?;
    loop {
        let (location, client) = match step {
            Step::Break(choice) => return Some(choice),
            Step::Continue(told) => told,
        };
        ongoing.client = client;
        step = advance(ongoing, body, scratch, |run| Some(run.resume(location)))?;
    }
}

/// A choice, or a location that says who the client is, and that another step goes on from.
type Step = ControlFlow<Choice, (usize, Option<Client>)>;

/// Runs the phases until something can be done, or until the client is another.
fn advance(
    ongoing: &mut Ongoing,
    body: &[u8],
    scratch: &mut Vec<u8>,
    start: impl FnOnce(&mut Run<'_, '_>) -> Option<Decision>,
) -> Option<Step> {
    let (identity, tls) = (ongoing.identity.clone(), ongoing.tls);
    let http = ongoing.http.clone();
    let complaints = RefCell::new(Vec::new());
    let media = ongoing.handed_media().to_vec();
    let proxied = std::mem::take(&mut ongoing.texts.proxied);
    let mut contents = Contents {
        http: &http,
        host: &http.hosts[ongoing.host],
        body,
        length: ongoing.length,
        upgrade: ongoing.upgrade,
        is_spent: ongoing.is_spent,
        media: &media,
        is_judged: ongoing.is_judged,
        is_refused: false,
        uncounted: if ongoing.announced == 0 { announced(ongoing.length) } else { 0 },
        scratch,
        proxied,
        proxies: ongoing.location,
        range: Vec::new(),
        complaints: &complaints,
    };
    let mut place = ongoing.location;
    let knows_client = ongoing.client.is_some();
    let step = ongoing.with(&Seen::default(), |context, host, head| {
        let mut complain = |level, words| complaints.borrow_mut().push((level, words));
        let mut probe = |path: &[u8]| probe(path, &mut complain);
        let mut run = Run::new(&host.server, context, &mut probe);
        run.knows_client = knows_client;
        let decision = start(&mut run)?;
        let arrived = (&*identity, tls, head);
        Some(choose(&mut run, &mut contents, arrived, decision, &mut place))
    });
    let Contents { is_refused, proxied, proxies, .. } = contents;
    ongoing.complaints.append(&mut complaints.into_inner());
    ongoing.texts.proxied = proxied;
    if place != proxies {
        // Its app was another location's.
        ongoing.texts.proxied.host.clear();
        ongoing.texts.proxied.port.clear();
    }
    if let Some(Step::Continue(_)) = &step {
        return step;
    }
    ongoing.settle(place);
    ongoing.is_judged = true;
    ongoing.terms.keep_alive &= !ongoing.state.closes;
    if is_refused {
        // Nobody reads that body, so nothing can follow it.
        (ongoing.terms.keep_alive, ongoing.length) = (false, Length::None);
    }
    step
}

/// From a decision to what can be done; `place` is then the location it is done in.
fn choose(
    run: &mut Run<'_, '_>,
    contents: &mut Contents<'_>,
    (identity, tls, head): (&Identity, bool, &KeptHead),
    mut decision: Decision,
    place: &mut usize,
) -> Step {
    let host = contents.host;
    loop {
        if std::mem::take(&mut run.is_forbidden) {
            let words = "access forbidden by rule".to_owned();
            contents.complaints.borrow_mut().push((Level::Error, words));
        }
        let location = match decision {
            Decision::Content(location) => location,
            Decision::Client(location) => {
                let real_ip = host.locations[location].real_ip.as_ref();
                let of = |real_ip| Client::of(real_ip, identity, head.fields());
                return Step::Continue((location, real_ip.and_then(of)));
            }
            _ => {
                let local = identity.local();
                let author = own::Author { host, local, tls, range: &contents.range };
                let (location, reply) = author.answer(decision, &mut run.context);
                *place = location;
                let close = || Choice::Close { status: closing(decision) };
                return Step::Break(reply.map_or_else(close, Choice::Reply));
            }
        };
        *place = location;
        match contents.of(run, location, head) {
            ControlFlow::Continue(next) => decision = next,
            ControlFlow::Break(choice) => return Step::Break(choice),
        }
    }
}

fn closing(decision: Decision) -> u16 {
    match decision {
        Decision::Close { status, .. } => status,
        _ => 444,
    }
}

/// Puts the app's head in its place, where the choice is to proxy.
fn forwarded(
    choice: Choice,
    input: &mut Buf,
    head_len: usize,
    ongoing: &mut Ongoing,
    scratch: &[u8],
) -> Result<Deed, Refusal> {
    let (named, upgrade) = match choice {
        Choice::Reply(reply) => return Ok(reply.finish(ongoing)),
        Choice::File(answer, range) => return Ok(files::finish(*answer, &range, ongoing)),
        Choice::Close { status } => return Ok(Deed::Close { status }),
        Choice::Proxy { named, upgrade } => (named, upgrade),
    };
    let location = ongoing.in_force();
    let max = location.body_kept_bytes;
    let own = match &location.content {
        Content::Proxy(proxy) => match proxy.body {
            RequestBody::Set(_) => true,
            RequestBody::Dropped => ongoing.length != Length::None,
            RequestBody::Passed => false,
        },
        Content::Files => false,
    };
    let mut body = Body::of_request(ongoing.length, location.limits.request_body_bytes_max)?;
    let reads = ongoing.http.variables.reads;
    if reads.answer_fields {
        // Those of another app, which led here.
        ongoing.kept.upstream = KeptHead::default();
    }
    ongoing.announced = ongoing.announced.max(announced(ongoing.length));
    if reads.request_body && ongoing.length != Length::None {
        ongoing.kept.body = whole(&input.data()[head_len..], ongoing.length)
            .filter(|body| body.len() <= max)
            .map(<[u8]>::to_vec);
        if ongoing.kept.body.is_none() {
            body.keep(max);
        }
    }
    if own {
        input.consume(head_len);
    } else {
        input.replace_front(head_len, scratch);
    }
    let (named, sought) = match named {
        None => (None, None),
        Some(Named::Known(upstream)) => (Some(upstream), None),
        Some(Named::Sought(sought)) => (None, Some(Box::new(sought))),
    };
    let method = scratch.split(|byte| *byte == b' ').next().unwrap_or_default();
    ongoing.asks_head = method == b"HEAD";
    Ok(Deed::Forward(Forward {
        to: Destination::Host { host: ongoing.host, location: ongoing.location, named },
        sought,
        head: if own { 0 } else { scratch.len() },
        instead: own.then(|| scratch.to_vec()),
        body,
        upgrade,
        repeatable: ongoing.length == Length::None
            && matches!(method, b"GET" | b"HEAD" | b"OPTIONS" | b"PUT" | b"DELETE"),
        expects_continue: ongoing.expects_continue,
        upload: Upload::Whole,
        ongoing: None,
    }))
}

/// What is known of a request when its server has been found.
fn ongoing(arrived: Arrived, asked: &[u8], terms: Terms) -> Box<Ongoing> {
    let Spare { mut state, mut texts } = arrived.spare;
    state.begin(&arrived.http.variables);
    texts.clear();
    if let Some(host) = names::Host::parse(asked) {
        host.append_lowercase(&mut texts.name);
    }
    let local = arrived.identity.local();
    let host = arrived.http.server_of(local, &texts.name, &mut state);
    Box::new(Ongoing {
        request_id: ongoing::request_id(&arrived.http),
        http: arrived.http,
        state,
        texts,
        host,
        location: 0,
        terms,
        length: Length::None,
        upgrade: Upgrade::None,
        expects_continue: false,
        asks_head: false,
        announced: 0,
        unchunked: None,
        is_spent: false,
        is_judged: false,
        handed: None,
        complaints: Vec::new(),
        challenge: Vec::new(),
        identity: arrived.identity,
        tls: arrived.tls,
        requests: arrived.requests,
        age: arrived.age,
        is_pipelined: arrived.is_pipelined,
        begun_ms: arrived.begun_ms,
        tries: arrived.tries,
        client: None,
        kept: Kept::default(),
    })
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

/// The fields that nginx refuses to see twice, for files and apps alike.
const ONCE: NameSet = NameSet::of(&[
    Name::Authorization,
    Name::ContentRange,
    Name::IfMatch,
    Name::IfModifiedSince,
    Name::IfNoneMatch,
    Name::IfRange,
    Name::IfUnmodifiedSince,
]);
