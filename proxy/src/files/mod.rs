//! Files as answers: what nginx's static and index modules, and its filters for conditions and
//! ranges, make of a request.
//!
//! How it is called, for `Decision::Content` of a location without another content:
//!
//! (`serve::files` does it.)
//!
//! 1. `Context::append_file` makes the path of the state's URI; `None` is 500.
//! 2. [`prepare`] opens the file and decides.
//! 3. [`Found::Index`] goes on with `Run::redirect`, [`Found::Trouble`] with `Run::fail`: another
//!    decision, perhaps to a file again. The engine bounds such steps.
//! 4. For [`Found::Answer`] the head is written into a buffer: status line, Server, Date,
//!    [`Lines::content`], Connection, [`Lines::etag`], the fields of `add_header`, those of
//!    [`Lines::ranges`]; then [`send`] sends it with the body.
//!
//! Nothing here waits but [`send`]. Deliberate differences from nginx: a path that leads out of its
//! root is forbidden, and of more than [`RANGES_MAX`](crate::limits::RANGES_MAX) ranges the client
//! gets the whole. The error pages and the absolute form of a redirect are the caller's.

mod body;
mod charset;
pub mod conditional;
pub mod date;
mod open;
mod types;

use std::borrow::Cow;
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::iter;
use std::ops::Range;

pub use body::{FileBody, send};
pub use charset::Charset;
pub use conditional::{IfModifiedSince, Rules};
pub use open::Trouble;
pub use types::Types;

use crate::h1::kept::FieldList;
use crate::route::escape;
use crate::route::template::Template;
use body::Multipart;
use conditional::{Conditions, Validators, Verdict};
use open::{Opened, quoted};

/// What a location says of its files.
#[derive(Debug, Clone)]
pub struct Settings {
    pub types: Types,
    pub charset: Option<Charset>,
    /// `etag`.
    pub etag: bool,
    pub rules: Rules,
}

impl Default for Settings {
    fn default() -> Self {
        Self { types: Types::default(), charset: None, etag: true, rules: Rules::default() }
    }
}

impl Settings {
    /// The type without a charset of ours: `given` by an app, or that of the URI's extension.
    pub fn media<'a>(&'a self, given: &'a [u8], uri: &[u8]) -> &'a [u8] {
        if given.is_empty() { self.types.of(uri) } else { given }
    }

    /// Puts the charset behind the type in an answer that is whole.
    pub fn complete(&self, status: u16, answer: &mut Vec<u8>) {
        if let Some(charset) = &self.charset {
            charset.complete(status, answer);
        }
    }
}

/// What a location has in force of files.
#[derive(Debug)]
pub struct Content {
    pub settings: Settings,
    /// `index`.
    pub index: Box<[Template]>,
    /// `log_not_found`.
    pub logs_not_found: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The client's, or GET for an error page (`State::method_is_get`).
    pub method: &'a [u8],
    /// Decoded, `State::uri`.
    pub uri: &'a [u8],
    pub args: &'a [u8],
    /// Where the URI is on the disk, and how much of that the configuration has decided:
    /// `Context::append_file`. The rest may not lead out.
    pub path: &'a [u8],
    pub root: usize,
    /// `index`, evaluated; looked at when the URI ends in a slash.
    pub index: &'a [&'a [u8]],
    pub fields: FieldList<'a>,
    /// `State::status_override`: the status of the error whose page this is, or 0.
    pub status: u16,
    /// The type, where an app has given it; empty for that of the file.
    pub media: &'a [u8],
}

/// What becomes of it.
#[derive(Debug)]
pub enum Found {
    Answer(Answer),
    /// An internal redirect to this URI, the arguments kept: `Run::redirect`.
    Index(Vec<u8>),
    /// A directory without its slash: 301 to this, which begins with `/`.
    MissingSlash(Vec<u8>),
    /// `Run::fail` with this status; the words, if there are any, are an error's.
    Trouble(Trouble),
    /// 416, with the Content-Range line that its page is to have.
    NotSatisfiable(Vec<u8>),
}

/// An answer from a file.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    fields: Vec<u8>,
    /// Where Connection belongs, and where `add_header`.
    connection_at: usize,
    added_at: usize,
    /// Done from the start for HEAD and where a status has no body.
    pub body: FileBody,
}

/// The lines of an answer in nginx's order: other fields stand between these.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    /// Content-Type, Content-Length, Last-Modified. Then comes Connection.
    pub content: &'a [u8],
    /// ETag. Then come the fields of `add_header`.
    pub etag: &'a [u8],
    /// Content-Range or Accept-Ranges.
    pub ranges: &'a [u8],
}

impl Answer {
    pub fn lines(&self) -> Lines<'_> {
        let (content, rest) = self.fields.split_at(self.connection_at);
        let (etag, ranges) = rest.split_at(self.added_at - self.connection_at);
        Lines { content, etag, ranges }
    }
}

/// Looks for the file and decides.
pub fn prepare(settings: &Settings, asked: &Asked<'_>) -> Found {
    let is_post = asked.method == b"POST";
    let is_known = is_post || matches!(asked.method, b"GET" | b"HEAD");
    let rest = asked.path.get(asked.root..).unwrap_or_default();
    if leads_out(rest) || asked.path.contains(&0) {
        let words = format!("{} leads out of its root", quoted(asked.path));
        return Found::Trouble(Trouble { status: 403, words });
    }
    if !is_known {
        return NOT_ALLOWED;
    }
    if asked.uri.ends_with(b"/") {
        return find_index(asked);
    }
    match open::open(asked.path) {
        Ok(Opened::Directory) => Found::MissingSlash(with_slash(asked)),
        Ok(Opened::File { .. }) if is_post => NOT_ALLOWED,
        Ok(Opened::File { file, size, modified }) => {
            let etag = match settings.etag {
                true => format!("\"{modified:x}-{size:x}\""),
                false => String::new(),
            };
            answer(settings, asked, Source { file, size, modified, etag })
        }
        Err(trouble) => Found::Trouble(trouble),
    }
}

fn find_index(asked: &Asked<'_>) -> Found {
    match open::index(asked.path, asked.index) {
        Ok(Some(name)) if name.starts_with(b"/") => Found::Index(name.to_vec()),
        Ok(Some(name)) => Found::Index([asked.uri, name].concat()),
        Ok(None) => {
            let words = format!("directory index of {} is forbidden", quoted(asked.path));
            Found::Trouble(Trouble { status: 403, words })
        }
        Err(trouble) => Found::Trouble(trouble),
    }
}

/// Whether a segment of the path goes up. URIs of requests have none left, but those of `rewrite`
/// and `try_files` may, and an `alias` with a slash after a location without one makes `/img../x`
/// into such a path, which nginx follows.
fn leads_out(rest: &[u8]) -> bool {
    rest.split(|b| *b == b'/').any(|segment| segment == b"..")
}

fn with_slash(asked: &Asked<'_>) -> Vec<u8> {
    let mut location = Vec::with_capacity(asked.uri.len() + 1);
    escape::append_mostly_plain(asked.uri, escape::URI, &mut location);
    location.push(b'/');
    if !asked.args.is_empty() {
        location.push(b'?');
        location.extend_from_slice(asked.args);
    }
    location
}

/// Where the file is and what it is.
struct Source {
    file: File,
    size: u64,
    modified: i64,
    /// With its quotes, or empty.
    etag: String,
}

fn answer(settings: &Settings, asked: &Asked<'_>, source: Source) -> Found {
    let Source { size, modified, .. } = source;
    // An error page is neither conditional nor in parts.
    let is_plain = matches!(asked.status, 0 | 200);
    let verdict = if is_plain {
        let validators = Validators { modified, etag: source.etag.as_bytes(), size };
        Conditions::of(asked.fields).judge(&validators, settings.rules)
    } else {
        Verdict::Whole
    };
    let (status, parts) = match verdict {
        Verdict::Whole => {
            let status = if is_plain { 200 } else { asked.status };
            (status, iter::once(0..size).collect())
        }
        Verdict::NotModified => (304, Vec::new()),
        Verdict::Ranges(parts) => (206, parts),
        Verdict::PreconditionFailed => {
            return Found::Trouble(Trouble { status: 412, words: String::new() });
        }
        Verdict::NotSatisfiable => {
            return Found::NotSatisfiable(format!("Content-Range: bytes */{size}\r\n").into());
        }
    };
    Found::Answer(write(settings, asked, source, status, parts))
}

/// Writes the lines of an answer that is decided.
fn write(
    settings: &Settings,
    asked: &Asked<'_>,
    source: Source,
    status: u16,
    parts: Vec<Range<u64>>,
) -> Answer {
    let Source { file, size, modified, etag } = source;
    // A page that is shown with 304 says what it would be; a file that has not changed does not.
    let says_content = status != 204 && !parts.is_empty();
    let has_body = says_content && status != 304 && asked.method != b"HEAD";
    let media = settings.media(asked.media, asked.uri);
    // No file can hold a boundary that nobody knows beforehand.
    let boundary = || RandomState::new().build_hasher().finish();
    let of_part =
        || settings.charset.as_ref().map_or(Cow::Borrowed(media), |it| it.of(media, status));
    let multipart = (parts.len() > 1).then(|| Multipart::new(boundary(), &of_part(), size));

    let mut fields = Vec::with_capacity(256);
    if says_content {
        append_content(media, &parts, multipart.as_ref(), &mut fields);
    }
    if matches!(status, 200 | 206 | 304) {
        fields.extend_from_slice(b"Last-Modified: ");
        date::append(modified, &mut fields);
        fields.extend_from_slice(b"\r\n");
    }
    let connection_at = fields.len();
    if !etag.is_empty() {
        fields.extend_from_slice(format!("ETag: {etag}\r\n").as_bytes());
    }
    let added_at = fields.len();
    match &parts[..] {
        [part] if status == 206 => {
            let (first, last) = (part.start, part.end - 1);
            let line = format!("Content-Range: bytes {first}-{last}/{size}\r\n");
            fields.extend_from_slice(line.as_bytes());
        }
        _ if status == 200 && settings.rules.ranges_max > 0 => {
            fields.extend_from_slice(b"Accept-Ranges: bytes\r\n");
        }
        _ => {}
    }
    let body = if has_body { FileBody::new(file, parts, multipart) } else { FileBody::default() };
    Answer { status, fields, connection_at, added_at, body }
}

fn append_content(
    media: &[u8],
    parts: &[Range<u64>],
    multipart: Option<&Multipart>,
    fields: &mut Vec<u8>,
) {
    let len = match multipart {
        Some(multipart) => {
            let boundary = multipart.boundary();
            let line = format!("Content-Type: multipart/byteranges; boundary={boundary}\r\n");
            fields.extend_from_slice(line.as_bytes());
            multipart.len(parts)
        }
        None => {
            if !media.is_empty() {
                fields.extend_from_slice(b"Content-Type: ");
                fields.extend_from_slice(media);
                fields.extend_from_slice(b"\r\n");
            }
            parts.iter().map(|part| part.end - part.start).sum()
        }
    };
    fields.extend_from_slice(format!("Content-Length: {len}\r\n").as_bytes());
}

const NOT_ALLOWED: Found = Found::Trouble(Trouble { status: 405, words: String::new() });
