//! What `charset` adds to the type of an answer, of a file, a text of ours or an app.

use std::borrow::Cow;

/// `charset` and `charset_types` of a location. Nothing is recoded: the app, or the file, says its
/// text in this encoding already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charset {
    name: Box<[u8]>,
    /// In lower case.
    types: Box<[Box<[u8]>]>,
    /// `*` among `charset_types`.
    of_all: bool,
}

impl Charset {
    /// `types` are the arguments of `charset_types`; `text/html` goes without saying.
    pub fn new<'a>(name: &[u8], types: Option<&[&'a [u8]]>) -> Self {
        let types: &[&'a [u8]] = types.unwrap_or(BY_DEFAULT);
        let of_all = types.contains(&&b"*"[..]);
        let all = types.iter().copied().chain([&b"text/html"[..]]);
        Self {
            name: name.into(),
            types: all.map(|one| one.to_ascii_lowercase().into()).collect(),
            of_all,
        }
    }

    /// The type with the charset behind it, where it has none and is one of those; not in the
    /// redirects of HTTP/1.0, whose charset old browsers take for that of the page they lead to.
    pub fn of<'m>(&self, media: &'m [u8], status: u16) -> Cow<'m, [u8]> {
        let is_one = || self.types.iter().any(|one| one.eq_ignore_ascii_case(media));
        let is_told = || media.to_ascii_lowercase().windows(8).any(|part| part == b"charset=");
        if media.is_empty()
            || matches!(status, 301 | 302)
            || media.starts_with(b"multipart/byteranges")
        {
            return Cow::Borrowed(media);
        }
        match is_one() || self.of_all && !is_told() {
            true => Cow::Owned([media, b"; charset=", &self.name].concat()),
            false => Cow::Borrowed(media),
        }
    }

    /// Completes the type in an answer's head, with a body behind it or without. The last deed, as in
    /// nginx: what `expires` and `add_header` read of the type has no charset of ours.
    pub fn complete(&self, status: u16, answer: &mut Vec<u8>) {
        let mut at = 0;
        for line in answer.split_inclusive(|byte| *byte == b'\n') {
            let text = line.trim_ascii_end();
            let (name, value) = text.split_at_checked(NAME.len()).unwrap_or_default();
            if line == b"\r\n" || name.eq_ignore_ascii_case(NAME) {
                let media = value.trim_ascii_start();
                let added = self.of(media, status)[media.len()..].to_vec();
                let end = at + text.len();
                answer.splice(end..end, added);
                return;
            }
            at += line.len();
        }
    }
}

const NAME: &[u8] = b"content-type:";

/// nginx's.
const BY_DEFAULT: &[&[u8]] = &[
    b"text/html",
    b"text/xml",
    b"text/plain",
    b"text/vnd.wap.wml",
    b"application/javascript",
    b"application/rss+xml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charset_stands_behind_the_types_it_is_for() {
        let usual = Charset::new(b"utf-8", None);
        let own = Charset::new(b"UTF-8", Some(&[b"text/CSS"]));
        let all = Charset::new(b"x", Some(&[b"*"]));
        for (charset, media, status, expected) in [
            (&usual, "text/html", 200, "text/html; charset=utf-8"),
            (&usual, "Text/Plain", 404, "Text/Plain; charset=utf-8"),
            (&usual, "text/css", 200, "text/css"),
            (&usual, "text/html; charset=koi8-r", 200, "text/html; charset=koi8-r"),
            (&usual, "text/html", 301, "text/html"),
            (&usual, "text/html", 302, "text/html"),
            (&usual, "text/html", 303, "text/html; charset=utf-8"),
            (&usual, "", 200, ""),
            (&own, "text/css", 200, "text/css; charset=UTF-8"),
            (&own, "text/html", 200, "text/html; charset=UTF-8"),
            (&own, "text/plain", 200, "text/plain"),
            (&all, "image/png", 206, "image/png; charset=x"),
            (&all, "a/b; Charset=y", 200, "a/b; Charset=y"),
        ] {
            assert_eq!(*charset.of(media.as_bytes(), status), *expected.as_bytes(), "{media}");
            let head = |media| format!("HTTP/1.1 200 OK\r\nContent-type: {media}\r\nA: b\r\n\r\n");
            let mut answer = head(media).into_bytes();
            charset.complete(status, &mut answer);
            assert_eq!(answer, head(expected).into_bytes());
        }
        let untyped = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\ncontent-type: text/html\r\n";
        let mut answer = untyped.to_vec();
        usual.complete(200, &mut answer);
        assert_eq!(answer, untyped);
    }
}
