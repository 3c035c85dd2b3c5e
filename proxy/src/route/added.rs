//! What a location adds to answers: `add_header`, `add_trailer`, `expires`.

use super::evaluate::Context;
use super::expires::{Expires, Freshness};
use super::fields::{Fields, is_common};
use crate::files::date;
use crate::h1::name::Name;

/// The lines in force in one location.
#[derive(Debug, Clone, Default)]
pub struct Added {
    /// `add_header`.
    pub fields: Fields,
    /// `add_trailer`: behind the body of an app's answer.
    pub trailers: Fields,
    pub expires: Option<Expires>,
}

impl Added {
    /// Appends the lines to an answer of our own; `out` holds the lines before.
    pub fn append(&self, status: Option<u16>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        let common = status.unwrap_or(200);
        let fresh = self.expires.as_ref().and_then(|_| {
            let last_modified = find_line(out, b"Last-Modified: ").and_then(date::parse);
            self.freshness(common, last_modified, context)
        });
        if fresh.is_some() {
            drop_freshness(out);
        }
        for (known, name) in VALIDATORS {
            if self.replaces(known, None, common) {
                drop_lines(&[name], out);
            }
        }
        self.append_with(fresh.as_ref(), status, context, out);
    }

    /// What `expires` says of an answer of that status; `last_modified` in seconds since 1970.
    pub fn freshness(
        &self,
        status: u16,
        last_modified: Option<i64>,
        context: &mut Context<'_>,
    ) -> Option<Freshness> {
        let expires = self.expires.as_ref().filter(|_| is_common(status))?;
        expires.freshness(last_modified, context)
    }

    /// As [`Added::append`], where `expires` has been asked before.
    pub fn append_with(
        &self,
        fresh: Option<&Freshness>,
        status: Option<u16>,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        if let Some(Freshness { expires, cache_control }) = fresh {
            out.extend_from_slice(b"Expires: ");
            out.extend_from_slice(expires);
            out.extend_from_slice(b"\r\nCache-Control: ");
            out.extend_from_slice(cache_control.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        self.fields.append(status, context, out);
    }

    /// True when what is added takes the place of the field of that name that an app's answer or a
    /// file has, as in nginx: validators, and both fields of `expires`.
    pub fn replaces(&self, name: Name, fresh: Option<&Freshness>, status: u16) -> bool {
        match name {
            Name::Expires | Name::CacheControl => fresh.is_some(),
            Name::LastModified | Name::Etag => self.fields.adds(name, status),
            _ => false,
        }
    }
}

/// Takes out the lines that `expires` takes the place of.
pub fn drop_freshness(lines: &mut Vec<u8>) {
    drop_lines(&[b"expires", b"cache-control"], lines);
}

/// Takes out the validators, which are not those of a page.
pub fn drop_validators(lines: &mut Vec<u8>) {
    drop_lines(&VALIDATORS.map(|(_, name)| name), lines);
}

/// Takes out the lines of these fields, whose names are in lower case.
fn drop_lines(names: &[&[u8]], lines: &mut Vec<u8>) {
    let is_one = |line: &&[u8]| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        names.iter().any(|one| name.eq_ignore_ascii_case(one))
    };
    if lines.split(|byte| *byte == b'\n').any(|line| is_one(&line)) {
        let kept = lines.split_inclusive(|byte| *byte == b'\n').filter(|line| !is_one(line));
        *lines = kept.flatten().copied().collect();
    }
}

/// What `add_header` replaces rather than adds to, also with nothing.
const VALIDATORS: [(Name, &[u8]); 2] =
    [(Name::LastModified, b"last-modified"), (Name::Etag, b"etag")];

/// The value of the line that begins so, in the spelling we write it in.
fn find_line<'a>(lines: &'a [u8], begin: &[u8]) -> Option<&'a [u8]> {
    let line = lines.split(|byte| *byte == b'\n').find(|line| line.starts_with(begin))?;
    Some(line[begin.len()..].trim_ascii_end())
}
