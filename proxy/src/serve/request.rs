//! The request as the app gets it: `proxy_pass`, `proxy_set_header`, `proxy_method`.
//!
//! Framing and the fields of one hop are written by us alone, whatever the configuration says of
//! them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::plan::optional;
use crate::config::{Upstream, UpstreamAddress};
use crate::h1::framing::Length;
use crate::h1::head::tokens;
use crate::h1::kept::{Field, FieldList, KeptHead};
use crate::h1::name::{Name, NameSet};
use crate::h1::rewrite;
use crate::h1::websocket::Upgrade;
use crate::route::evaluate::Context;
use crate::route::http::{Http, Proxy, RequestBody};
use crate::route::proxy_pass::Url;
use crate::upstream::resolve::Sought;

/// A request that is to be proxied.
pub(super) struct Asked<'a> {
    pub(super) http: &'a Http,
    pub(super) proxy: &'a Proxy,
    /// As the client sent it.
    pub(super) head: &'a KeptHead,
    /// The request's body, where all of it is there.
    pub(super) body: Option<&'a [u8]>,
    pub(super) length: Length,
    /// Bytes of it that have not been counted.
    pub(super) uncounted: u64,
    pub(super) upgrade: Upgrade,
}

/// What the app is asked for, and under which name.
#[derive(Debug, Default)]
pub(super) struct Proxied {
    /// `$proxy_host`.
    pub(super) host: Vec<u8>,
    /// `$proxy_port`.
    pub(super) port: Vec<u8>,
    pub(super) target: Vec<u8>,
}

/// The app that variables name.
#[derive(Debug)]
pub(super) enum Named {
    Known(Arc<Upstream>),
    /// Its addresses are not.
    Sought(Sought),
}

/// Why an app can't be asked: a status, and words for the error log.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) status: u16,
    pub(super) words: String,
}

fn failed(status: u16, words: impl Into<String>) -> Failed {
    Failed { status, words: words.into() }
}

/// What the configuration asks of the connection.
#[derive(Default)]
struct Wishes {
    upgrade: bool,
    connection: bool,
}

impl Asked<'_> {
    /// Writes the head, and `$proxy_host` and `$proxy_port`; the app, where variables name it.
    pub(super) fn write(
        &self,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
        proxied: &mut Proxied,
    ) -> Result<(Option<Named>, Upgrade), Failed> {
        let mut room = Vec::new();
        let url = self.proxy.pass.url(context, &mut room).map_err(|words| failed(500, words))?;
        proxied.host.clear();
        url.append_proxy_host(&mut proxied.host);
        proxied.port.clear();
        if let Some(port) = url.port() {
            proxied.port.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
        let named = match self.proxy.upstream {
            Some(_) => None,
            None => Some(self.named(&url)?),
        };
        // Templates of the fields read these.
        let facts = crate::route::facts::Facts {
            upstream: crate::route::facts::Upstream {
                proxy_host: &proxied.host,
                proxy_port: &proxied.port,
                fields: FieldList::default(),
                ..context.facts.upstream
            },
            request_body: self.body.or(context.facts.request_body),
            request_length: context.facts.request_length + self.uncounted,
            ..*context.facts
        };
        let mut context =
            Context { variables: context.variables, facts: &facts, state: &mut *context.state };
        out.clear();
        match optional(self.proxy.method.as_ref(), &mut context).filter(|m| is_token(m)) {
            Some(method) => out.extend_from_slice(&method),
            None if context.state.method_is_get => out.extend_from_slice(b"GET"),
            None => out.extend_from_slice(self.head.method()),
        }
        out.push(b' ');
        let target = out.len();
        self.proxy.pass.append_target(&url, &context, out).map_err(|_| no_target())?;
        proxied.target.clear();
        proxied.target.extend_from_slice(&out[target..]);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        if !self.proxy.fields.names(Name::Host, b"host") {
            field(out, b"Host", &proxied.host);
        }
        let wishes = self.set_fields(&mut context, out);
        if context.state.is_overflowed() {
            return Err(failed(500, TOO_LONG));
        }
        if self.proxy.passes_request_fields {
            self.client_fields(out);
        }
        let body = match &self.proxy.body {
            RequestBody::Set(body) => optional(Some(body), &mut context),
            RequestBody::Passed | RequestBody::Dropped => None,
        };
        if context.state.is_overflowed() {
            return Err(failed(500, TOO_LONG));
        }
        let upgrades = wishes.upgrade && wishes.connection && body.is_none();
        let upgrade = if upgrades { self.upgrade } else { Upgrade::None };
        self.framing(upgrade, body.as_deref(), out);
        Ok((named, upgrade))
    }

    /// The app that variables name: a group, an address, or a name.
    fn named(&self, url: &Url<'_>) -> Result<Named, Failed> {
        if url.https {
            return Err(failed(
                502,
                "TLS to the app (https:// in \"proxy_pass\") is not supported yet",
            ));
        }
        let group = |name: &[u8]| self.http.upstreams.get(name).filter(|_| url.port.is_none());
        let is_lower = !url.host.iter().any(u8::is_ascii_uppercase);
        let other_case = || if is_lower { None } else { group(&url.host.to_ascii_lowercase()) };
        if let Some(group) = group(url.host).or_else(other_case) {
            return Ok(Named::Known(group.clone()));
        }
        let name = String::from_utf8_lossy(url.host).into_owned();
        let port = url.port().unwrap_or(80);
        let address = if url.is_unix {
            UpstreamAddress::Unix((&*name).into())
        } else {
            let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
            let ip = match &*name {
                "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
                name => bare.unwrap_or(name).parse::<IpAddr>().ok(),
            };
            match (ip, self.proxy.resolving) {
                (Some(ip), _) => UpstreamAddress::Tcp((ip, port).into()),
                (None, Some(how)) => return Ok(Named::Sought(Sought { name, port, how })),
                (None, None) => {
                    let words = format!("no resolver defined to resolve {name}");
                    return Err(failed(502, words));
                }
            }
        };
        Ok(Named::Known(Arc::new(Upstream { name, addresses: vec![address] })))
    }

    fn set_fields(&self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Wishes {
        let mut wishes = Wishes::default();
        for field in self.proxy.fields.iter() {
            if !WRITTEN_BY_US.has(field.known) {
                field.append(context, out);
                continue;
            }
            if self.upgrade == Upgrade::None {
                continue;
            }
            // What it comes to is looked at, and goes nowhere.
            let start = out.len();
            field.append_value(context, out);
            let has = |word| tokens(&out[start..]).any(|token| token.eq_ignore_ascii_case(word));
            match field.known {
                Name::Connection => wishes.connection |= has(b"upgrade"),
                Name::Upgrade => wishes.upgrade |= has(b"websocket"),
                _ => {}
            }
            out.truncate(start);
        }
        wishes
    }

    /// What the client sent and nothing replaces.
    fn client_fields(&self, out: &mut Vec<u8>) {
        let fields = self.head.fields();
        let nominated = || fields.all(Name::Connection).flat_map(tokens);
        let nominates = nominated().any(rewrite::is_nomination);
        for Field { known, is_plain, name, value } in fields.iter() {
            let nominates_it = || nominated().any(|token| token.eq_ignore_ascii_case(name));
            let is_left_out = WRITTEN_BY_US.has(known)
                || matches!(known, Name::Host | Name::Proxy)
                || self.proxy.fields.names(known, name)
                || (!is_plain && Name::aliased(name).is_some())
                || (nominates && nominates_it());
            if !is_left_out {
                field(out, name, value);
            }
        }
    }

    /// Ends the head; a `body` of the configuration's follows it.
    fn framing(&self, upgrade: Upgrade, body: Option<&[u8]>, out: &mut Vec<u8>) {
        if upgrade != Upgrade::None {
            out.extend_from_slice(b"Connection: upgrade\r\nUpgrade: websocket\r\n");
        }
        if let Some(body) = body {
            field(out, b"Content-Length", itoa::Buffer::new().format(body.len()).as_bytes());
            out.extend_from_slice(b"\r\n");
            return out.extend_from_slice(body);
        }
        match self.length {
            _ if matches!(self.proxy.body, RequestBody::Dropped) => {}
            Length::Sized(bytes) => {
                field(out, b"Content-Length", itoa::Buffer::new().format(bytes).as_bytes());
            }
            Length::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            // A body that another app has got is not announced again.
            Length::None | Length::UntilClose => {
                let announced = self.head.fields().first(Name::ContentLength);
                if announced.is_some_and(|value| value.iter().all(|byte| *byte == b'0')) {
                    out.extend_from_slice(b"Content-Length: 0\r\n");
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// What is to come of a body of known length.
pub(super) fn announced(length: Length) -> u64 {
    match length {
        Length::Sized(bytes) => bytes,
        Length::None | Length::Chunked | Length::UntilClose => 0,
    }
}

fn no_target() -> Failed {
    failed(500, "zero length URI to proxy")
}

fn is_token(method: &[u8]) -> bool {
    !method.is_empty() && method.iter().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

const TOO_LONG: &str = "what the app is to be sent is too long";

/// Framing and the fields of one hop, which no configuration sets.
const WRITTEN_BY_US: NameSet = NameSet::HOP_BY_HOP.with(&[Name::ContentLength, Name::Expect]);
