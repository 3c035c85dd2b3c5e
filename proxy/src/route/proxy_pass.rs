//! `proxy_pass`: which upstream, and which target is asked of it.

use std::ops::Range;

use super::escape;
use super::evaluate::Context;
use super::location::Match;
use super::template::Template;
use super::variable::Registry;

/// A compiled `proxy_pass`.
#[derive(Debug, Clone)]
pub struct ProxyPass {
    form: Form,
    /// Bytes of the URI that its URI part stands for: the name of the location it was written in.
    location_len: usize,
}

#[derive(Debug, Clone)]
enum Form {
    /// The same for every request.
    Fixed(FixedUrl),
    /// The URL is made anew for each.
    Variables(Template),
}

/// A URL that has been taken apart.
#[derive(Debug, Clone)]
struct FixedUrl {
    text: Box<[u8]>,
    https: bool,
    is_unix: bool,
    /// Bytes of `text`.
    host: Range<usize>,
    port: Option<u16>,
    /// Where in `text` the path begins.
    uri: usize,
}

impl FixedUrl {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let Url { https, host, is_unix, port, uri } = Url::parse(text)?;
        let uri = text.len() - uri.len();
        let before = if https { b"https://".len() } else { b"http://".len() };
        let start = if is_unix { before + b"unix:".len() } else { before };
        let host = start..start + host.len();
        Ok(Self { text: text.into(), https, is_unix, host, port, uri })
    }

    fn url(&self) -> Url<'_> {
        Url {
            https: self.https,
            host: &self.text[self.host.clone()],
            is_unix: self.is_unix,
            port: self.port,
            uri: &self.text[self.uri..],
        }
    }
}

/// A URL of an upstream in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    pub https: bool,
    /// A name (of an `upstream` block, or for the resolver), an address, or the path of a socket.
    pub host: &'a [u8],
    pub is_unix: bool,
    pub port: Option<u16>,
    /// Path and arguments as they are written; may be empty, may begin with `?`.
    pub uri: &'a [u8],
}

impl ProxyPass {
    /// The argument of the directive. `location` is the one it stands in, nameless for an `if` or
    /// a `limit_except`.
    pub fn parse(
        argument: &[u8],
        location: &Match,
        registry: &mut Registry,
    ) -> Result<Self, String> {
        let location_len = match location {
            Match::Exact(name) | Match::Prefix { name, .. } => name.len(),
            Match::Regex { .. } | Match::Named(_) | Match::Nameless => 0,
        };
        if memchr::memchr(b'$', argument).is_some() {
            let form = Form::Variables(Template::compile(argument, registry)?);
            return Ok(Self { form, location_len });
        }
        let url = FixedUrl::parse(argument)?;
        let is_pattern = !matches!(location, Match::Exact(_) | Match::Prefix { .. });
        if is_pattern && !url.url().uri.is_empty() {
            return Err("\"proxy_pass\" cannot have URI part in location given by regular \
                        expression, or inside named location, or inside \"if\" statement, or \
                        inside \"limit_except\" block"
                .into());
        }
        Ok(Self { form: Form::Fixed(url), location_len })
    }

    /// The URL, if it is the same for every request.
    pub fn fixed(&self) -> Option<Url<'_>> {
        match &self.form {
            Form::Fixed(url) => Some(url.url()),
            Form::Variables(_) => None,
        }
    }

    /// The URL as it is written, if it is the same for every request: what `proxy_redirect default`
    /// looks for.
    pub(super) fn fixed_text(&self) -> Option<&[u8]> {
        match &self.form {
            Form::Fixed(url) => Some(&url.text),
            Form::Variables(_) => None,
        }
    }

    /// The URL for this request, whose text goes to `room` where it is made of variables. Errors: it
    /// is none, for 500.
    pub fn url<'u>(
        &'u self,
        context: &mut Context<'_>,
        room: &'u mut Vec<u8>,
    ) -> Result<Url<'u>, String> {
        match &self.form {
            Form::Fixed(url) => Ok(url.url()),
            Form::Variables(template) => {
                context.append(template, room);
                let room = &*room;
                Url::parse(room).map_err(|words| match &*words {
                    NO_SCHEME => format!("{words} in \"{}\"", room.escape_ascii()),
                    _ => words,
                })
            }
        }
    }

    /// Appends the request target for the upstream. Errors: it would be empty, for 500.
    pub fn append_target(
        &self,
        url: &Url<'_>,
        context: &Context<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), EmptyTarget> {
        let (state, start) = (&context.state, out.len());
        if url.uri.is_empty() && state.valid_unparsed_uri {
            out.extend_from_slice(context.facts.request_uri);
            return Ok(());
        }
        if matches!(self.form, Form::Variables(_)) && !url.uri.is_empty() {
            if url.uri.starts_with(b"?") {
                out.push(b'/');
            }
            escape::append_mostly_plain(url.uri, escape::REQUEST_LINE, out);
            return Ok(());
        }
        let replaces = state.valid_location && !url.uri.is_empty();
        let rest = match replaces {
            true => state.uri.get(self.location_len..).unwrap_or_default(),
            false => &state.uri,
        };
        if replaces {
            out.extend_from_slice(url.uri);
        }
        if state.quoted_uri || state.internal {
            escape::append_mostly_plain(rest, escape::URI, out);
        } else {
            out.extend_from_slice(rest);
        }
        if !state.args.is_empty() {
            out.push(b'?');
            escape::append_mostly_plain(&state.args, escape::REQUEST_LINE, out);
        }
        if out.len() == start { Err(EmptyTarget) } else { Ok(()) }
    }
}

/// nginx: `zero length URI to proxy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyTarget;

impl<'a> Url<'a> {
    /// Takes a URL apart.
    pub fn parse(url: &'a [u8]) -> Result<Self, String> {
        let scheme = |scheme: &[u8]| {
            let (head, rest) = url.split_at_checked(scheme.len())?;
            head.eq_ignore_ascii_case(scheme).then_some(rest)
        };
        let (https, rest) = match (scheme(b"http://"), scheme(b"https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(NO_SCHEME.into()),
        };
        let refuse = |cause: &str| Err(format!("{cause} in upstream \"{}\"", rest.escape_ascii()));
        if let Some(path) = rest.strip_prefix(b"unix:") {
            let end = memchr::memchr(b':', path);
            let (host, uri) = match end {
                Some(end) => (&path[..end], &path[end + 1..]),
                None => (path, &b""[..]),
            };
            if host.is_empty() {
                return refuse("no path in the unix domain socket");
            }
            return Ok(Self { https, host, is_unix: true, port: None, uri });
        }
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, uri) = rest.split_at(end);
        let host_end = match authority.first() {
            Some(b'[') => memchr::memchr(b']', authority).map(|end| end + 1),
            _ => Some(memchr::memchr(b':', authority).unwrap_or(authority.len())),
        };
        let Some(host_end) = host_end else { return refuse("invalid host") };
        let (host, port) = authority.split_at(host_end);
        if host.is_empty() {
            return refuse("no host");
        }
        let port = match port.strip_prefix(b":") {
            None if port.is_empty() => None,
            None => return refuse("invalid host"),
            Some(port) => {
                let digits = std::str::from_utf8(port).ok();
                let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
                match digits.and_then(|digits| digits.parse().ok()) {
                    Some(port @ 1..) => Some(port),
                    _ => return refuse("invalid port"),
                }
            }
        };
        Ok(Self { https, host, is_unix: false, port, uri })
    }

    /// `$proxy_host`, which is what Host becomes unless it is set.
    pub fn append_proxy_host(&self, out: &mut Vec<u8>) {
        if self.is_unix {
            return out.extend_from_slice(b"localhost");
        }
        out.extend_from_slice(self.host);
        if let Some(port) = self.port.filter(|port| *port != self.default_port()) {
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
    }

    /// `$proxy_port`; none for a socket.
    pub fn port(&self) -> Option<u16> {
        if self.is_unix { None } else { Some(self.port.unwrap_or(self.default_port())) }
    }

    fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }
}

const NO_SCHEME: &str = "invalid URL prefix";
