//! Heads of requests and answers: found in a buffer, tokenised, and refused when they are not
//! plain.
//!
//! RFC 9112 sections 2 to 5. Tokenising is httparse's work; what it lets pass and we do not (a bare
//! LF) is looked for while searching the end of the head, which goes over every byte once.

use std::mem::MaybeUninit;

use httparse::Header;

use super::name::{Name, NameSet};
use crate::fault::Refusal;
use crate::limits::{FIELDS_MAX, Limits};

/// Room for the fields of one head; lives on the stack of whoever parses.
#[allow(missing_debug_implementations, reason = "memory that is not initialised")]
pub struct Table<'b> {
    fields: [MaybeUninit<Header<'b>>; FIELDS_MAX],
}

impl Default for Table<'_> {
    fn default() -> Self {
        Self { fields: [const { MaybeUninit::uninit() }; FIELDS_MAX] }
    }
}

/// A request head whose syntax is right. What it means is for `framing` and `target`.
#[derive(Debug)]
pub struct RequestHead<'t, 'b> {
    pub method: &'b str,
    pub target: &'b str,
    pub version: Version,
    pub fields: Fields<'t, 'b>,
}

/// The head of an answer whose syntax is right.
#[derive(Debug)]
pub struct AnswerHead<'t, 'b> {
    pub version: Version,
    /// 100 to 999.
    pub status: u16,
    pub reason: &'b str,
    pub fields: Fields<'t, 'b>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
}

/// The fields of a head with what their names mean.
#[derive(Debug)]
pub struct Fields<'t, 'b> {
    fields: &'t [Header<'b>],
    names: [Name; FIELDS_MAX],
    /// [`Name::bit`] of those that are there: most questions are about fields that are not.
    present: u64,
    /// And of those that are there more than once.
    repeated: u64,
}

impl<'t, 'b> Fields<'t, 'b> {
    pub fn new(fields: &'t [Header<'b>]) -> Self {
        let (mut names, mut present, mut repeated) = ([Name::Other; FIELDS_MAX], 0, 0);
        for (name, field) in names.iter_mut().zip(fields) {
            *name = Name::of(field.name.as_bytes());
            repeated |= present & name.bit();
            present |= name.bit();
        }
        Self { fields, names, present, repeated }
    }

    /// Whether their sender, which speaks that version, lets the connection go on after this message:
    /// `close` has the last word, RFC 9112 section 9.3.
    pub fn keep_alive(&self, version: Version) -> bool {
        !self.lists(Name::Connection, b"close")
            && match version {
                Version::Http11 => true,
                Version::Http10 => self.lists(Name::Connection, b"keep-alive"),
            }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Name, &Header<'b>)> {
        self.names.iter().copied().zip(self.fields)
    }

    pub fn list(&self) -> &'t [Header<'b>] {
        self.fields
    }

    /// The values of every field of that name.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &'b [u8]> {
        let looked_at = if self.has(name) { self.fields.len() } else { 0 };
        let all = self.names[..looked_at].iter().zip(self.fields);
        all.filter(move |(n, _)| **n == name).map(|(_, field)| field.value)
    }

    pub fn first(&self, name: Name) -> Option<&'b [u8]> {
        self.all(name).next()
    }

    pub fn has(&self, name: Name) -> bool {
        self.present & name.bit() != 0
    }

    /// True when one of these is there more than once.
    pub fn repeats(&self, names: NameSet) -> bool {
        self.repeated & names.0 != 0
    }

    /// The only field of that name.
    pub fn only(&self, name: Name) -> Result<Option<&'b [u8]>, Repeated> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// True when the comma-separated list in the fields of that name has `token`.
    pub fn lists(&self, name: Name, token: &[u8]) -> bool {
        self.all(name).flat_map(tokens).any(|word| word.eq_ignore_ascii_case(token))
    }
}

/// A field that may stand in a head once stands there several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated;

/// The words of a comma-separated list, RFC 9110 section 5.6.1; empty ones are skipped.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|word| !word.is_empty())
}

/// Where a head ends: a search that can be taken up again when more bytes have come.
#[derive(Debug, Default, Clone, Copy)]
pub struct Search {
    /// Start of the line that is being looked at.
    line: usize,
    /// Bytes that hold no LF.
    seen: usize,
}

impl Search {
    /// The length of the head at the start of `bytes`, the empty line included.
    ///
    /// Errors: a line that ends in LF alone. `bytes` must begin with what earlier calls saw.
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        let begin = self.seen;
        for at in memchr::memchr_iter(b'\n', bytes.get(begin..).unwrap_or_default()) {
            let lf = begin + at;
            if lf == 0 || bytes[lf - 1] != b'\r' {
                return Err(Refusal::bad_request("line ends in LF without CR"));
            }
            if lf - 1 == self.line {
                return Ok(Some(lf + 1));
            }
            self.line = lf + 1;
            self.seen = lf + 1;
        }
        self.seen = bytes.len();
        Ok(None)
    }
}

/// Refuses what is no request from its first byte on, such as TLS where plain HTTP is spoken: it would
/// be waited for in vain.
pub fn check_begin(bytes: &[u8]) -> Result<(), Refusal> {
    // RFC 9110 section 5.6.2: a method is a token.
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~\r".contains(byte);
    match bytes.first() {
        Some(byte) if !is_token(byte) => Err(Refusal::bad_request("client sent invalid method")),
        _ => Ok(()),
    }
}

/// Bytes of empty lines before a request, which a server should skip (RFC 9112 section 2.2).
pub fn leading_empty_lines(bytes: &[u8]) -> usize {
    let mut skip = 0;
    while bytes[skip..].starts_with(b"\r\n") {
        skip += 2;
    }
    skip
}

/// Parses the head of a request; `head` is exactly what [`Search::find`] measured.
pub fn parse_request<'t, 'b>(
    head: &'b [u8],
    table: &'t mut Table<'b>,
    limits: &Limits,
) -> Result<RequestHead<'t, 'b>, Refusal> {
    let line = &head[..memchr::memchr(b'\r', head).unwrap_or(head.len())];
    check_request_line(line, limits)?;
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut table.fields) {
        Ok(httparse::Status::Complete(n)) if n == head.len() => {}
        Ok(_) => return Err(Refusal::bad_request("invalid request head")),
        Err(error) => return Err(request_refusal(error)),
    }
    if request.headers.len() > limits.request_fields_max {
        return Err(TOO_MANY_FIELDS);
    }
    Ok(RequestHead {
        method: request.method.expect("a complete request has a method"),
        target: request.path.expect("a complete request has a target"),
        version: version(request.version),
        fields: Fields::new(request.headers),
    })
}

/// Parses the head of an answer; `head` is exactly what [`Search::find`] measured.
pub fn parse_answer<'t, 'b>(
    head: &'b [u8],
    table: &'t mut Table<'b>,
) -> Result<AnswerHead<'t, 'b>, Refusal> {
    let mut answer = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut answer, head, &mut table.fields) {
        Ok(httparse::Status::Complete(n)) if n == head.len() => {}
        Ok(_) => return Err(Refusal::bad_request("invalid head")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::bad_request("too many header fields"));
        }
        Err(_) => return Err(Refusal::bad_request("invalid status line or header field")),
    }
    let status = answer.code.expect("a complete answer has a status");
    if status < 100 {
        return Err(Refusal::bad_request("status below 100"));
    }
    Ok(AnswerHead {
        version: version(answer.version),
        status,
        reason: answer.reason.unwrap_or_default(),
        fields: Fields::new(answer.headers),
    })
}

/// Takes a head apart that was accepted before, or the beginning of one that was not: what can't be
/// read is empty.
pub fn lenient_request<'t, 'b>(head: &'b [u8], table: &'t mut Table<'b>) -> RequestHead<'t, 'b> {
    let mut request = httparse::Request::new(&mut []);
    let _ = request.parse_with_uninit_headers(head, &mut table.fields);
    // The version is the last word of the line.
    let is_whole = request.version.is_some();
    RequestHead {
        method: request.method.filter(|_| is_whole).unwrap_or_default(),
        target: request.path.filter(|_| is_whole).unwrap_or_default(),
        version: version(request.version),
        fields: Fields::new(request.headers),
    }
}

/// The lines of a request's head in front of the first that is no field.
pub fn readable_request(head: &[u8]) -> Vec<u8> {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let mut readable = lines.next().unwrap_or_default().to_vec();
    let is_field = |line: &&[u8]| {
        let alone = [line, &b"\r\n"[..]].concat();
        let mut room = [httparse::EMPTY_HEADER];
        matches!(
            httparse::parse_headers(&alone, &mut room),
            Ok(httparse::Status::Complete((_, [_])))
        )
    };
    lines.take_while(is_field).for_each(|line| readable.extend_from_slice(line));
    readable.extend_from_slice(b"\r\n");
    readable
}

/// The fields of an answer's head that was accepted before, or written by us.
pub fn lenient_answer<'h>(head: &'h [u8], table: &'h mut Table<'h>) -> &'h [Header<'h>] {
    if head.is_empty() {
        return &[];
    }
    let mut answer = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let _ = config.parse_response_with_uninit_headers(&mut answer, head, &mut table.fields);
    answer.headers
}

/// What a request line may be, said before the tokeniser says something less helpful.
fn check_request_line(line: &[u8], limits: &Limits) -> Result<(), Refusal> {
    let mut spaces = memchr::memchr_iter(b' ', line);
    let (Some(first), Some(second), None) = (spaces.next(), spaces.next(), spaces.next()) else {
        return Err(Refusal::bad_request("request line is not METHOD TARGET HTTP/1.1"));
    };
    let (method, target, version) = (&line[..first], &line[first + 1..second], &line[second + 1..]);
    if method.len() > METHOD_BYTES_MAX {
        return Err(Refusal::bad_request("method is too long"));
    }
    if target.len() > limits.request_target_bytes_max {
        return Err(Refusal { status: 414, words: "client sent too long URI" });
    }
    if version.starts_with(b"HTTP/") && !version.starts_with(b"HTTP/1.") {
        return Err(Refusal { status: 505, words: "HTTP version is not 1.0 or 1.1" });
    }
    Ok(())
}

fn version(minor: Option<u8>) -> Version {
    match minor {
        Some(1) => Version::Http11,
        _ => Version::Http10,
    }
}

fn request_refusal(error: httparse::Error) -> Refusal {
    Refusal::bad_request(match error {
        httparse::Error::HeaderName => "client sent invalid header line: its name is no token",
        httparse::Error::HeaderValue => {
            "client sent invalid header line: its value has control characters"
        }
        httparse::Error::Version => "client sent invalid version",
        httparse::Error::TooManyHeaders => return TOO_MANY_FIELDS,
        httparse::Error::NewLine => "invalid line end",
        httparse::Error::Token | httparse::Error::Status => "invalid request line",
    })
}

pub const TOO_MANY_FIELDS: Refusal =
    Refusal { status: 431, words: "client sent too many header lines" };
/// Longer than any registered method.
const METHOD_BYTES_MAX: usize = 32;
