//! Conditional requests and ranges (RFC 9110 sections 13 and 14), decided as nginx decides them.
//! No sockets, no files, no clock.

use std::ops::Range;

use super::date;
use crate::h1::kept::FieldList;
use crate::h1::name::Name;
use crate::limits::RANGES_MAX;

/// `if_modified_since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfModifiedSince {
    /// The field is not looked at.
    Off,
    /// The client's copy is good when it has the very date of the file.
    #[default]
    Exact,
    /// The client's copy is good when it is no older than the file.
    Before,
}

/// What a location says of conditions and ranges.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub if_modified_since: IfModifiedSince,
    /// `max_ranges`: a request for more gets the whole; for 0, ranges are not known at all.
    pub ranges_max: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self { if_modified_since: IfModifiedSince::default(), ranges_max: RANGES_MAX }
    }
}

/// What conditions are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// Seconds since 1970.
    pub modified: i64,
    /// With its quotes; empty when `etag` is off.
    pub etag: &'a [u8],
    pub size: u64,
}

/// What a request is to be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Whole,
    NotModified,
    PreconditionFailed,
    /// At least one; each within the file and not empty, all together no more than it.
    Ranges(Vec<Range<u64>>),
    NotSatisfiable,
}

/// The fields of a request that make it conditional or ask for ranges: the first of each name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    pub if_match: Option<&'a [u8]>,
    pub if_none_match: Option<&'a [u8]>,
    pub if_modified_since: Option<&'a [u8]>,
    pub if_unmodified_since: Option<&'a [u8]>,
    pub if_range: Option<&'a [u8]>,
    pub range: Option<&'a [u8]>,
}

impl<'a> Conditions<'a> {
    pub fn of(fields: FieldList<'a>) -> Self {
        let mut conditions = Self::default();
        for field in fields.iter() {
            let slot = match field.known {
                Name::IfMatch => &mut conditions.if_match,
                Name::IfNoneMatch => &mut conditions.if_none_match,
                Name::IfModifiedSince => &mut conditions.if_modified_since,
                Name::IfUnmodifiedSince => &mut conditions.if_unmodified_since,
                Name::IfRange => &mut conditions.if_range,
                Name::Range => &mut conditions.range,
                _ => continue,
            };
            slot.get_or_insert(field.value);
        }
        conditions
    }

    /// What to answer to a GET or HEAD for a file with these validators.
    pub fn judge(&self, file: &Validators<'_>, rules: Rules) -> Verdict {
        if let Some(date) = self.if_unmodified_since
            && date::parse(date).is_none_or(|date| date < file.modified)
        {
            return Verdict::PreconditionFailed;
        }
        if let Some(list) = self.if_match
            && !lists(list, file.etag, Comparison::Strong)
        {
            return Verdict::PreconditionFailed;
        }
        if self.is_not_modified(file, rules) {
            return Verdict::NotModified;
        }
        match self.range {
            Some(range) if rules.ranges_max > 0 && self.allows_range(file) => {
                ranges(range, file.size, rules.ranges_max)
            }
            _ => Verdict::Whole,
        }
    }

    /// With both fields, both have to say so: nginx's way, stricter than RFC 9110 section 13.2.2.
    fn is_not_modified(&self, file: &Validators<'_>, rules: Rules) -> bool {
        if self.if_modified_since.is_none() && self.if_none_match.is_none() {
            return false;
        }
        let same_date = self.if_modified_since.is_none_or(|date| {
            let date = date::parse(date);
            match rules.if_modified_since {
                IfModifiedSince::Off => false,
                IfModifiedSince::Exact => date == Some(file.modified),
                IfModifiedSince::Before => date.is_some_and(|date| date >= file.modified),
            }
        });
        let same_tag = || self.if_none_match.is_none_or(|l| lists(l, file.etag, Comparison::Weak));
        same_date && same_tag()
    }

    fn allows_range(&self, file: &Validators<'_>) -> bool {
        match self.if_range {
            None => true,
            Some(tag) if tag.len() >= 2 && tag.ends_with(b"\"") => tag == file.etag,
            Some(date) => date::parse(date) == Some(file.modified),
        }
    }
}

/// RFC 9110 section 8.8.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags has `etag`, which is strong itself. No tag: only `*` has it.
fn lists(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    if list == b"*" {
        return true;
    }
    if etag.is_empty() {
        return false;
    }
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let mut rest = list;
    while !rest.is_empty() {
        if comparison == Comparison::Weak {
            rest = rest.strip_prefix(b"W/").unwrap_or(rest);
        }
        if let Some(after) = rest.strip_prefix(etag)
            && let None | Some(b',') = after.iter().find(|b| !is_blank(b))
        {
            return true;
        }
        let comma = memchr::memchr(b',', rest).unwrap_or(rest.len());
        let next = rest[comma..].iter().position(|b| !is_blank(b) && *b != b',');
        rest = next.map_or(&[], |next| &rest[comma + next..]);
    }
    false
}

/// The ranges that a Range field asks for of `size` bytes. A field in another unit is not for us.
pub fn ranges(value: &[u8], size: u64, max: usize) -> Verdict {
    let Some((unit, set)) = value.split_at_checked(6).filter(|(_, set)| !set.is_empty()) else {
        return Verdict::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return Verdict::Whole;
    }
    let mut ranges = Vec::new();
    let mut sum: u64 = 0;
    for spec in set.split(|b| *b == b',') {
        let Some(range) = range(spec, size) else {
            return Verdict::NotSatisfiable;
        };
        if range.start < range.end {
            if ranges.len() >= max.min(RANGES_MAX) {
                return Verdict::Whole;
            }
            // Not above 2^63 in one, and few: see `range` and RANGES_MAX.
            sum = sum.saturating_add(range.end - range.start);
            ranges.push(range);
        } else if range.start == 0 {
            return Verdict::Whole;
        }
    }
    if ranges.is_empty() {
        return Verdict::NotSatisfiable;
    }
    // Asking for the same bytes again and again is no use to anybody.
    if sum > size { Verdict::Whole } else { Verdict::Ranges(ranges) }
}

/// One range, which may lie behind the end and is then empty; `None` when it is none.
fn range(spec: &[u8], size: u64) -> Option<Range<u64>> {
    let spaces = |text: &'_ [u8]| text.iter().take_while(|b| **b == b' ').count();
    let spec = &spec[spaces(spec)..];
    let digits = spec.iter().take_while(|b| b.is_ascii_digit()).count();
    let (first, rest) = spec.split_at(digits);
    let rest = if digits > 0 { &rest[spaces(rest)..] } else { rest };
    let rest = rest.strip_prefix(b"-")?;
    let rest = if digits > 0 { &rest[spaces(rest)..] } else { rest };
    if digits > 0 && rest.is_empty() {
        return Some(number(first)?..size);
    }
    let digits_of_last = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let (last, rest) = rest.split_at(digits_of_last);
    if spaces(rest) != rest.len() {
        return None;
    }
    let last = number(last)?;
    if digits == 0 {
        return Some(size.saturating_sub(last)..size);
    }
    Some(number(first)?..size.min(last + 1))
}

/// A number as sizes of files are: below 2^63.
fn number(digits: &[u8]) -> Option<u64> {
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    i64::try_from(number).is_ok().then_some(number)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init, reason = "one range is a list of ranges here")]

    use super::*;
    use crate::h1::kept::KeptHead;

    const ETAG: &[u8] = b"\"65b0-a\"";
    const MODIFIED: i64 = 784_111_777;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn judge(fields: &[(&str, &str)], if_modified_since: IfModifiedSince) -> Verdict {
        let lines: String =
            fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes();
        let (head, _) = KeptHead::lenient_request(&head, |_| true);
        let validators = Validators { modified: MODIFIED, etag: ETAG, size: 10 };
        let rules = Rules { if_modified_since, ..Rules::default() };
        Conditions::of(head.fields()).judge(&validators, rules)
    }

    #[test]
    fn conditions_are_judged_in_nginx_s_order() {
        use Verdict::{NotModified, PreconditionFailed, Whole};
        let part = || Verdict::Ranges(vec![0..2]);
        for (fields, expected) in [
            (&[][..], Whole),
            (&[("if-modified-since", DATE)], NotModified),
            (&[("If-Modified-Since", EARLIER)], Whole),
            (&[("If-Modified-Since", LATER)], Whole),
            (&[("If-Modified-Since", "nonsense")], Whole),
            (&[("If-Modified-Since", DATE), ("If-Modified-Since", LATER)], NotModified),
            (&[("If-None-Match", "\"65b0-a\"")], NotModified),
            (&[("If-None-Match", "W/\"65b0-a\"")], NotModified),
            (&[("If-None-Match", "*")], NotModified),
            (&[("If-None-Match", "\"x\", , W/\"65b0-a\"\t,\"y\"")], NotModified),
            (&[("If-None-Match", "\"x\"")], Whole),
            (&[("If-None-Match", "\"65b0-a\"x")], Whole),
            (&[("If-None-Match", "65b0-a")], Whole),
            (&[("If-None-Match", "")], Whole),
            (&[("If-None-Match", "\"x\""), ("If-Modified-Since", DATE)], Whole),
            (&[("If-None-Match", "*"), ("If-Modified-Since", LATER)], Whole),
            (&[("If-None-Match", "*"), ("If-Modified-Since", DATE)], NotModified),
            (&[("If-Unmodified-Since", DATE)], Whole),
            (&[("If-Unmodified-Since", LATER)], Whole),
            (&[("If-Unmodified-Since", EARLIER)], PreconditionFailed),
            (&[("If-Unmodified-Since", "nonsense")], PreconditionFailed),
            (&[("If-Match", "\"65b0-a\"")], Whole),
            (&[("If-Match", "W/\"65b0-a\"")], PreconditionFailed),
            (&[("If-Match", "*")], Whole),
            (&[("If-Match", "\"x\"")], PreconditionFailed),
            (&[("If-Match", "\"x\""), ("If-None-Match", "*")], PreconditionFailed),
            (&[("Range", "bytes=0-1"), ("If-None-Match", "*")], NotModified),
            (&[("Range", "bytes=0-1")], part()),
            (&[("Range", "bytes=0-1"), ("If-Range", "\"65b0-a\"")], part()),
            (&[("Range", "bytes=0-1"), ("If-Range", "W/\"65b0-a\"")], Whole),
            (&[("Range", "bytes=0-1"), ("If-Range", "\"")], Whole),
            (&[("Range", "bytes=0-1"), ("If-Range", DATE)], part()),
            (&[("Range", "bytes=0-1"), ("If-Range", LATER)], Whole),
            (&[("Range", "bytes=0-1"), ("Range", "bytes=4-")], part()),
        ] {
            assert_eq!(judge(fields, IfModifiedSince::Exact), expected, "{fields:?}");
        }
    }

    #[test]
    fn if_modified_since_may_be_off_or_before() {
        for (date, rule, expected) in [
            (DATE, IfModifiedSince::Off, Verdict::Whole),
            (DATE, IfModifiedSince::Before, Verdict::NotModified),
            (LATER, IfModifiedSince::Before, Verdict::NotModified),
            (EARLIER, IfModifiedSince::Before, Verdict::Whole),
            ("nonsense", IfModifiedSince::Before, Verdict::Whole),
        ] {
            assert_eq!(judge(&[("If-Modified-Since", date)], rule), expected, "{date} {rule:?}");
        }
    }

    #[test]
    fn without_a_tag_only_a_star_matches() {
        let validators = Validators { modified: MODIFIED, etag: b"", size: 10 };
        for (list, expected) in [
            ("*", Verdict::Whole),
            ("\"\"", Verdict::PreconditionFailed),
            ("", Verdict::PreconditionFailed),
        ] {
            let if_match = Some(list.as_bytes());
            let conditions = Conditions { if_match, ..Conditions::default() };
            assert_eq!(conditions.judge(&validators, Rules::default()), expected, "{list}");
        }
    }

    #[test]
    fn ranges_are_read_as_nginx_reads_them() {
        use Verdict::{NotSatisfiable, Ranges, Whole};
        for (value, expected) in [
            ("bytes=0-0", Ranges(vec![0..1])),
            ("BYTES=2-4", Ranges(vec![2..5])),
            ("bytes=2-", Ranges(vec![2..10])),
            ("bytes=-3", Ranges(vec![7..10])),
            ("bytes=-30", Ranges(vec![0..10])),
            ("bytes=8-30", Ranges(vec![8..10])),
            ("bytes=0-1,4-5", Ranges(vec![0..2, 4..6])),
            ("bytes=  0 - 1 , 4 - ", Ranges(vec![0..2, 4..10])),
            ("bytes=0-1,20-", Ranges(vec![0..2])),
            ("bytes=0-1,5-4", Ranges(vec![0..2])),
            ("bytes=0-9223372036854775807", Ranges(vec![0..10])),
            ("bytes=0-9223372036854775808", NotSatisfiable),
            ("bytes=99999999999999999999-", NotSatisfiable),
            ("bytes=10-", NotSatisfiable),
            ("bytes=-0", NotSatisfiable),
            ("bytes=x", NotSatisfiable),
            ("bytes=1", NotSatisfiable),
            ("bytes=-", NotSatisfiable),
            ("bytes=- 1", NotSatisfiable),
            ("bytes=0-1x", NotSatisfiable),
            ("bytes=0-1,", NotSatisfiable),
            ("bytes=,0-1", NotSatisfiable),
            ("bytes=0-1,,3-4", NotSatisfiable),
            ("bytes=", Whole),
            ("bytes", Whole),
            ("lines=0-1", Whole),
            ("bytes=0-9,0-9", Whole),
            ("bytes=0-1,1-2,2-3,3-4,4-5,5-6", Whole),
        ] {
            assert_eq!(ranges(value.as_bytes(), 10, RANGES_MAX), expected, "{value}");
        }
        assert_eq!(ranges(b"bytes=0-", 0, RANGES_MAX), Whole);
        assert_eq!(ranges(b"bytes=-1", 0, RANGES_MAX), Whole);
        assert_eq!(ranges(b"bytes=1-", 0, RANGES_MAX), NotSatisfiable);
        assert_eq!(ranges(b"bytes=0-0,2-2", 10, 1), Whole);
        assert_eq!(ranges(b"bytes=0-0,20-", 10, 1), Ranges(vec![0..1]));
        let many = format!("bytes={}", vec!["1-1"; RANGES_MAX + 1].join(","));
        assert_eq!(ranges(many.as_bytes(), u64::MAX / 2, usize::MAX), Whole);
    }
}
