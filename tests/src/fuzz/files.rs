//! Targets of static files: conditions, ranges, dates.

use sheen::files::Rules;
use sheen::files::conditional::{Conditions, Validators, Verdict};
use sheen::files::date;
use sheen::h1::kept::KeptHead;

/// A size, then fields, one a line: ranges lie within the file and are no more than it, and a date
/// that is read is written and read again.
pub fn conditional(bytes: &[u8]) {
    let (size, rest) = bytes.split_at(bytes.len().min(2));
    let size = size.iter().fold(0, |size, byte| size << 8 | u64::from(*byte));
    let text = String::from_utf8_lossy(rest);
    let lines = text.lines().filter(|line| line.contains(": ")).map(|line| format!("{line}\r\n"));
    let head = format!("GET / HTTP/1.1\r\n{}\r\n", lines.collect::<String>()).into_bytes();
    let (head, _) = KeptHead::lenient_request(&head, |_| true);
    let file = Validators { modified: 784_111_777, etag: b"\"2ebc9aa1-a\"", size };
    let conditions = Conditions::of(head.fields());
    for ranges_max in [0, 2, usize::MAX] {
        let rules = Rules { ranges_max, ..Rules::default() };
        match conditions.judge(&file, rules) {
            Verdict::Ranges(ranges) => {
                assert!((1..=ranges_max).contains(&ranges.len()));
                assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
                assert!(ranges.iter().map(|range| range.end - range.start).sum::<u64>() <= size);
                assert!(conditions.range.is_some());
            }
            Verdict::NotSatisfiable => assert!(conditions.range.is_some() && ranges_max > 0),
            Verdict::NotModified => {
                let asks = conditions.if_none_match.or(conditions.if_modified_since);
                assert!(asks.is_some());
            }
            Verdict::PreconditionFailed => {
                let asks = conditions.if_match.or(conditions.if_unmodified_since);
                assert!(asks.is_some());
            }
            Verdict::Whole => {}
        }
    }
    for field in head.fields().iter() {
        if let Some(seconds) = date::parse(field.value) {
            let mut written = Vec::new();
            date::append(seconds, &mut written);
            assert_eq!(written.len(), "Sun, 06 Nov 1994 08:49:37 GMT".len());
            assert_eq!(date::parse(&written), Some(seconds));
        }
    }
}
