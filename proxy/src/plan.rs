//! From the bytes of a request head to what is to be done with it, in one step without a wait.
//!
//! Order: syntax, target, framing, site, then redirect or location; at the end the head that the
//! app gets stands in front of the body in the same buffer.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use crate::acme;
use crate::buf::Buf;
use crate::config::{PlainHttp, Upstream, UpstreamAddress};
use crate::context::Snapshot;
use crate::fault::Refusal;
use crate::h1::framing::{self, Length};
use crate::h1::head::{self, RequestHead, Table, Version};
use crate::h1::name::Name;
use crate::h1::rewrite::{self, Forwarded, Incoming, Path};
use crate::h1::target::Target;
use crate::h1::websocket::Upgrade;
use crate::limits::Limits;
use crate::log;
use crate::relay::Body;
use crate::route::{Found, Location, Site, http, path};
use crate::serve::Ongoing;
use crate::upstream::resolve::Sought;

/// What a request asks of its connection, whatever becomes of it.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    pub version: Version,
    /// HEAD: the answer has no body.
    pub to_head: bool,
    /// Another request may follow.
    pub keep_alive: bool,
    pub has_body: bool,
    /// Index of the site.
    pub site: usize,
}

#[derive(Debug)]
pub struct Plan {
    pub terms: Terms,
    pub deed: Deed,
}

#[derive(Debug)]
pub enum Deed {
    Forward(Forward),
    /// To https; the ranges are in the buffer. No host: the site's own name.
    Redirect {
        host: Option<Range<usize>>,
        target: Range<usize>,
        permanent: bool,
    },
    /// To the same path with a slash at its end: a whole Location line.
    AddSlash(Vec<u8>),
    /// An ACME challenge, when there is such a file.
    Challenge(Option<Vec<u8>>),
    NotFound,
}

#[derive(Debug)]
pub struct Forward {
    pub to: Destination,
    /// Whose addresses are to be looked up first.
    pub sought: Option<Box<Sought>>,
    /// Bytes of the new head at the front of the buffer.
    pub head: usize,
    /// Head and body that the app gets in the place of the client's, which is read and dropped; no
    /// head is in the buffer then.
    pub instead: Option<Vec<u8>>,
    pub body: Body,
    pub upgrade: Upgrade,
    /// May be sent again when a pooled connection turns out dead (RFC 9110 section 9.2.2).
    pub repeatable: bool,
    pub expects_continue: bool,
    pub upload: Upload,
    /// What its answer goes by, where nginx.conf says it.
    pub ongoing: Option<RefCell<Box<Ongoing>>>,
}

/// Whose app it is, as numbers: counted references would be counted by all workers at once.
#[derive(Debug)]
pub enum Destination {
    /// Of a site.
    Site { site: usize, location: usize },
    /// Of a server as nginx.conf has them; and the upstream, where variables named it.
    Host { host: usize, location: usize, named: Option<Arc<Upstream>> },
}

/// How much of a request with a body has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// Nothing: all of it is at hand still.
    Whole,
    /// Something.
    Begun,
    /// Everything.
    Done,
}

impl Destination {
    /// Those of its location, where it has its own. `snapshot` is what it was planned by.
    pub fn limits<'a>(&self, snapshot: &'a Snapshot) -> &'a Limits {
        match (self, &snapshot.http) {
            (Self::Host { host, location, .. }, Some(http)) => {
                &http.hosts[*host].locations[*location].limits
            }
            _ => &snapshot.limits,
        }
    }

    /// The addresses to ask; none only where there is no app.
    pub fn addresses<'a>(&'a self, snapshot: &'a Snapshot) -> &'a [UpstreamAddress] {
        let upstream = match (self, &snapshot.http) {
            (Self::Site { site, location }, _) => {
                Some(&snapshot.routes.site(*site).location(*location).upstream)
            }
            (Self::Host { named: Some(upstream), .. }, _) => Some(&**upstream),
            (Self::Host { host, location, .. }, Some(http)) => {
                match &http.hosts[*host].locations[*location].content {
                    http::Content::Proxy(proxy) => proxy.upstream.as_deref(),
                    http::Content::Files => None,
                }
            }
            (Self::Host { .. }, None) => None,
        };
        upstream.map_or(&[], |upstream| &upstream.addresses)
    }
}

/// What is known of the connection a request came on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub snapshot: &'a Snapshot,
    pub client: &'a str,
    pub trusted: bool,
    pub tls: bool,
    /// As the TLS handshake named the server, where it did.
    pub server_name: Option<&'a str>,
    pub draining: bool,
}

/// Plans for the request whose head is the first `head_len` bytes of `input`.
///
/// Errors: the status that the request is refused with; `request` then says what is known of it.
pub fn plan(
    input: &mut Buf,
    head_len: usize,
    context: &Context<'_>,
    request: &mut log::Request,
    scratch: &mut Vec<u8>,
) -> Result<Plan, Refusal> {
    let limits = &context.snapshot.limits;
    let raw = &input.data()[..head_len];
    let line = &raw[..memchr::memchr(b'\r', raw).unwrap_or(raw.len())];
    request.set(line, b"", b"", b"");

    let mut table = Table::default();
    let head = head::parse_request(raw, &mut table, limits)?;
    let of = |name| head.fields.first(name).unwrap_or_default();
    request.set(line, of(Name::Host), of(Name::Referer), of(Name::UserAgent));
    let target = Target::of(&head)?;
    let length = framing::request(&head)?;
    let upgrade = Upgrade::of(&head, length)?;
    // `OPTIONS *` asks about the server: the app at its root answers.
    let path = path::normal(if target.path() == "*" { "/" } else { target.path() })?;

    let site_index = site_of(&target, context)?;
    let site = context.snapshot.routes.site(site_index);
    let terms = Terms {
        version: head.version,
        to_head: head.method == "HEAD",
        keep_alive: head.fields.keep_alive(head.version) && !context.draining,
        has_body: length != Length::None,
        site: site_index,
    };
    let plan = |deed| Ok(Plan { terms, deed });

    if !context.tls
        && let Some(deed) = plain_http(site, &head, &target, raw)?
    {
        return plan(deed);
    }
    let location = match site.find(&path) {
        Found::Location(location) => location,
        Found::MissingSlash => return plan(Deed::AddSlash(add_slash(&target))),
        Found::Nothing => return plan(Deed::NotFound),
    };
    let target = match target.authority {
        // HTTP/1.0 without Host: the app gets the site's name.
        "" => Target { authority: &site.name, ..target },
        _ => target,
    };
    let incoming = Incoming { head: &head, raw, target, length, upgrade };
    let to = Destination::Site { site: site_index, location: location.number };
    let forward = forward(&incoming, (to, location), context, scratch)?;
    input.replace_front(head_len, scratch);
    plan(Deed::Forward(forward))
}

/// Writes the app's head into `scratch`.
fn forward(
    incoming: &Incoming<'_, '_, '_>,
    (to, location): (Destination, &Location),
    context: &Context<'_>,
    scratch: &mut Vec<u8>,
) -> Result<Forward, Refusal> {
    let Incoming { head, length, upgrade, .. } = incoming;
    let body = Body::of_request(*length, context.snapshot.limits.request_body_bytes_max)?;
    let forwarded = Forwarded {
        client: context.client,
        trusted: context.trusted,
        tls: context.tls,
        app: location.app,
    };
    scratch.clear();
    rewrite::request(scratch, incoming, app_path(&incoming.target, location)?, &forwarded);
    Ok(Forward {
        to,
        sought: None,
        head: scratch.len(),
        instead: None,
        body,
        upgrade: *upgrade,
        repeatable: *length == Length::None
            && matches!(head.method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"),
        expects_continue: head.version == Version::Http11
            && *length != Length::None
            && head.fields.lists(Name::Expect, b"100-continue"),
        upload: Upload::Whole,
        ongoing: None,
    })
}

/// The path that the app sees.
fn app_path<'a>(target: &Target<'a>, location: &Location) -> Result<Path<'a>, Refusal> {
    let whole = target.path_and_query;
    if !location.strip_prefix || &*location.prefix == "/" {
        return Ok(Path { lead: "", rest: whole });
    }
    match whole.strip_prefix(location.prefix.trim_end_matches('/')) {
        Some(rest) if rest.starts_with('/') => Ok(Path { lead: "", rest }),
        Some(rest) => Ok(Path { lead: "/", rest }),
        None => Err(Refusal::bad_request("path is not written in its normal form")),
    }
}

/// The site of the request. Over TLS it must be that of the handshake, whose certificate the client
/// has checked (RFC 9110 section 15.5.20).
fn site_of(target: &Target<'_>, context: &Context<'_>) -> Result<usize, Refusal> {
    let routes = &context.snapshot.routes;
    let site = routes.index(target.host);
    match context.server_name {
        Some(name) if !name.eq_ignore_ascii_case(target.host) && routes.index(name) != site => {
            Err(Refusal { status: 421, words: "Host is another site than the TLS handshake named" })
        }
        _ => Ok(site),
    }
}

/// What is done on a plain-HTTP listener instead of proxying, if anything.
fn plain_http(
    site: &Site,
    head: &RequestHead<'_, '_>,
    target: &Target<'_>,
    raw: &[u8],
) -> Result<Option<Deed>, Refusal> {
    if let Some(webroot) = &site.acme_webroot
        && target.path().starts_with(acme::PREFIX)
        && matches!(head.method, "GET" | "HEAD")
    {
        let token = acme::token(target.path());
        return Ok(Some(Deed::Challenge(token.and_then(|token| acme::read(webroot, token)))));
    }
    let permanent = match site.http {
        PlainHttp::Proxy => return Ok(None),
        PlainHttp::Redirect301 => false,
        PlainHttp::Redirect308 => true,
    };
    if target.host.is_empty() && site.name.is_empty() {
        return Err(Refusal::bad_request("no Host to redirect to"));
    }
    let range = |part: &str| {
        let start = part.as_ptr() as usize - raw.as_ptr() as usize;
        start..start + part.len()
    };
    let host = (!target.host.is_empty()).then(|| range(target.host));
    let absolute_root = target.path_and_query.len() == 1 && !head.target.starts_with(['/', '*']);
    // `http://host` without a path has no slash in the buffer to point to; the method's line has
    // one.
    let target = if absolute_root { slash(raw) } else { range(target.path_and_query) };
    Ok(Some(Deed::Redirect { host, target, permanent }))
}

/// Where a slash stands in a request line: every one has HTTP/1.x.
fn slash(raw: &[u8]) -> Range<usize> {
    let at = memchr::memchr(b'/', raw).unwrap_or_default();
    at..at + 1
}

fn add_slash(target: &Target<'_>) -> Vec<u8> {
    let path = target.path();
    let query = &target.path_and_query[path.len()..];
    // Begins with one slash, so that it can't be taken for another host.
    format!("Location: /{}/{query}\r\n", path.trim_start_matches('/')).into_bytes()
}
