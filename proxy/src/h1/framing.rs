//! How long a message body is: decided once, over all Content-Length and Transfer-Encoding fields
//! (invariant 8).
//!
//! RFC 9112 section 6. What two parsers could read in two ways is refused, never repaired: that is
//! where request smuggling comes from.

use super::head::{AnswerHead, Fields, Repeated, RequestHead, Version, tokens};
use super::name::Name;
use crate::fault::Refusal;

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// No body: the next message follows at once.
    None,
    Sized(u64),
    Chunked,
    /// At the end of the connection; answers only.
    UntilClose,
}

/// The length of a request's body, RFC 9112 section 6.3.
pub fn request(head: &RequestHead<'_, '_>) -> Result<Length, Refusal> {
    match (chunked(&head.fields, head.version)?, content_length(&head.fields)?) {
        (true, Some(_)) => Err(Refusal::bad_request("both Content-Length and Transfer-Encoding")),
        (true, None) => Ok(Length::Chunked),
        (false, Some(length)) => Ok(sized(length)),
        (false, None) => Ok(Length::None),
    }
}

/// The length of an answer's body, RFC 9112 section 6.3, in the order of its steps.
pub fn answer(head: &AnswerHead<'_, '_>, to_head: bool) -> Result<Length, Refusal> {
    let chunked = chunked(&head.fields, head.version)?;
    let length = content_length(&head.fields)?;
    if chunked && length.is_some() {
        return Err(Refusal::bad_request("both Content-Length and Transfer-Encoding"));
    }
    // 1. No body, whatever the fields say.
    if to_head || is_bodyless(head.status) {
        return Ok(Length::None);
    }
    // 4. and 6. of the list; 8. for everything else.
    Ok(match (chunked, length) {
        (true, _) => Length::Chunked,
        (false, Some(length)) => sized(length),
        (false, None) => Length::UntilClose,
    })
}

/// 1xx, 204 and 304 have no body.
pub fn is_bodyless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

fn sized(length: u64) -> Length {
    if length == 0 { Length::None } else { Length::Sized(length) }
}

/// True for `Transfer-Encoding: chunked` and nothing else: no other coding is in use, and a list
/// that does not end in `chunked`, or has it twice, is an attack or a mistake.
fn chunked(fields: &Fields<'_, '_>, version: Version) -> Result<bool, Refusal> {
    let mut codings = fields.all(Name::TransferEncoding).flat_map(tokens);
    let (first, second) = (codings.next(), codings.next());
    match (first, second) {
        (None, _) if fields.has(Name::TransferEncoding) => {
            Err(Refusal::bad_request("empty Transfer-Encoding"))
        }
        (None, _) => Ok(false),
        // RFC 9112 section 6.1: a server should treat this as faulty framing.
        (Some(_), _) if version == Version::Http10 => {
            Err(Refusal::bad_request("Transfer-Encoding in HTTP/1.0"))
        }
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(true),
        (Some(_), None) => {
            Err(Refusal { status: 501, words: "Transfer-Encoding other than chunked" })
        }
        (Some(_), Some(_)) => Err(Refusal::bad_request("several transfer codings")),
    }
}

/// Digits only, one value only: `5, 5`, which RFC 9112 section 6.3 lets a recipient accept, is
/// refused.
fn content_length(fields: &Fields<'_, '_>) -> Result<Option<u64>, Refusal> {
    let value = match fields.only(Name::ContentLength) {
        Ok(None) => return Ok(None),
        Ok(Some(value)) => value,
        Err(Repeated) => return Err(Refusal::bad_request("several Content-Length fields")),
    };
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad_request("Content-Length is not a number"));
    }
    let number = value.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    match number {
        // Room to add to it without another check.
        Some(number) if number <= i64::MAX as u64 => Ok(Some(number)),
        _ => Err(Refusal::bad_request("Content-Length is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::head::{Search, Table, parse_answer, parse_request};
    use super::*;
    use crate::limits::Limits;

    fn request_length(fields: &str) -> Result<Length, u16> {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut table = Table::default();
        let head = parse_request(head.as_bytes(), &mut table, &Limits::default());
        head.and_then(|head| request(&head)).map_err(|refusal| refusal.status)
    }

    fn answer_length(status: u16, fields: &str, to_head: bool) -> Result<Length, u16> {
        let head = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        assert_eq!(Search::default().find(head.as_bytes()), Ok(Some(head.len())));
        let mut table = Table::default();
        let head = parse_answer(head.as_bytes(), &mut table);
        head.and_then(|head| answer(&head, to_head)).map_err(|refusal| refusal.status)
    }

    // invariant 8
    #[test]
    fn requests_have_one_length_or_none() {
        for (fields, expected) in [
            ("", Ok(Length::None)),
            ("Content-Length: 0\r\n", Ok(Length::None)),
            ("Content-Length: 5\r\n", Ok(Length::Sized(5))),
            ("content-length:\t 5 \r\n", Ok(Length::Sized(5))),
            ("Transfer-Encoding: chunked\r\n", Ok(Length::Chunked)),
            ("Transfer-Encoding: Chunked\r\n", Ok(Length::Chunked)),
            ("Transfer-Encoding: , chunked ,\r\n", Ok(Length::Chunked)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Err(400)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(400)),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(400)),
            ("Content-Length: 5, 5\r\n", Err(400)),
            ("Content-Length: \r\n", Err(400)),
            ("Content-Length: +5\r\n", Err(400)),
            ("Content-Length: -5\r\n", Err(400)),
            ("Content-Length: 0x5\r\n", Err(400)),
            ("Content-Length: 5 5\r\n", Err(400)),
            ("Content-Length: 99999999999999999999\r\n", Err(400)),
            ("Content-Length: 9223372036854775808\r\n", Err(400)),
            ("Transfer-Encoding: \r\n", Err(400)),
            ("Transfer-Encoding: gzip\r\n", Err(501)),
            ("Transfer-Encoding: identity\r\n", Err(501)),
            ("Transfer-Encoding: xchunked\r\n", Err(501)),
            ("Transfer-Encoding: chunked;q=1\r\n", Err(501)),
            ("Transfer-Encoding: \"chunked\"\r\n", Err(501)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(400)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(400)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(400)),
        ] {
            assert_eq!(request_length(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn answers_end_where_their_status_and_fields_say() {
        let sized = "Content-Length: 5\r\n";
        for (status, fields, to_head, expected) in [
            (200, sized, false, Ok(Length::Sized(5))),
            (200, sized, true, Ok(Length::None)),
            (204, sized, false, Ok(Length::None)),
            (304, sized, false, Ok(Length::None)),
            (103, sized, false, Ok(Length::None)),
            (200, "", false, Ok(Length::UntilClose)),
            (404, "Transfer-Encoding: chunked\r\n", false, Ok(Length::Chunked)),
            (200, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", false, Err(400)),
            (200, "Content-Length: 5\r\nContent-Length: 6\r\n", false, Err(400)),
            (200, "Transfer-Encoding: gzip\r\n", false, Err(501)),
        ] {
            assert_eq!(answer_length(status, fields, to_head), expected, "{status} {fields:?}");
        }
    }
}
