//! A head that is needed for longer than the buffer it came in: its bytes, and where its fields are
//! in them. It is taken apart once; what variables, conditions and the app's head are made of is read
//! from here.

use super::head::{Fields, RequestHead, Table, Version, lenient_answer, lenient_request};
use super::name::Name;

/// The head of a request, or of an answer. Empty where there is none.
#[derive(Debug, Default)]
pub struct KeptHead {
    bytes: Vec<u8>,
    method: Span,
    target: Span,
    fields: Vec<Place>,
}

/// Where a field is in its head.
#[derive(Debug, Clone, Copy)]
struct Place {
    known: Name,
    is_plain: bool,
    name: Span,
    value: Span,
}

/// Bytes of a head, which has far fewer than these numbers can tell (`limits`).
#[derive(Debug, Default, Clone, Copy)]
struct Span {
    start: u32,
    len: u32,
}

/// The fields of a head, in their order.
#[derive(Debug, Clone, Copy, Default)]
pub struct FieldList<'h> {
    bytes: &'h [u8],
    places: &'h [Place],
}

/// One field.
#[derive(Debug, Clone, Copy)]
pub struct Field<'h> {
    pub known: Name,
    /// The name is of letters, digits and `-` alone.
    pub is_plain: bool,
    /// As it was written.
    pub name: &'h [u8],
    pub value: &'h [u8],
}

impl KeptHead {
    /// Keeps a request's head that was accepted, as `bytes`, in the place of what is kept; of its
    /// fields, those that are taken.
    pub fn set_request(
        &mut self,
        bytes: &[u8],
        head: &RequestHead<'_, '_>,
        takes: impl Fn(&Field<'_>) -> bool,
    ) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.method = Span::of(head.method.as_bytes(), bytes);
        self.target = Span::of(head.target.as_bytes(), bytes);
        self.fields.clear();
        append_places(&mut self.fields, bytes, &head.fields, takes);
    }

    /// A request's head that was accepted before, or the beginning of one that was not: what can't
    /// be read is empty. And its version.
    pub fn lenient_request(bytes: &[u8], takes: impl Fn(&Field<'_>) -> bool) -> (Self, Version) {
        let mut kept = Self::default();
        let mut table = Table::default();
        let head = lenient_request(bytes, &mut table);
        kept.set_request(bytes, &head, takes);
        (kept, head.version)
    }

    /// The head of an answer that was accepted before, or written by us.
    pub fn of_answer(bytes: Vec<u8>) -> Self {
        let mut fields = Vec::new();
        let mut table = Table::default();
        let all = Fields::new(lenient_answer(&bytes, &mut table));
        append_places(&mut fields, &bytes, &all, |_| true);
        Self { bytes, fields, ..Self::default() }
    }

    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `GET /x HTTP/1.1`, or what there is of it.
    pub fn first_line(&self) -> &[u8] {
        let end = memchr::memchr(b'\r', &self.bytes);
        end.map_or(&*self.bytes, |end| &self.bytes[..end])
    }

    /// Empty where the request line can't be read.
    pub fn method(&self) -> &[u8] {
        self.method.within(&self.bytes)
    }

    /// As it is written; empty where the request line can't be read.
    pub fn target(&self) -> &[u8] {
        self.target.within(&self.bytes)
    }

    pub fn fields(&self) -> FieldList<'_> {
        FieldList { bytes: &self.bytes, places: &self.fields }
    }

    /// Gives back what is not needed to keep it.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.fields.shrink_to_fit();
    }

    /// Bytes of memory behind it.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.fields.capacity() * size_of::<Place>()
    }
}

impl<'h> FieldList<'h> {
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Field<'h>> {
        self.places.iter().map(move |place| Field {
            known: place.known,
            is_plain: place.is_plain,
            name: place.name.within(self.bytes),
            value: place.value.within(self.bytes),
        })
    }

    /// The values of every field of that name.
    pub fn all(self, name: Name) -> impl DoubleEndedIterator<Item = &'h [u8]> {
        let of_that_name = self.places.iter().filter(move |place| place.known == name);
        of_that_name.map(move |place| place.value.within(self.bytes))
    }

    pub fn first(self, name: Name) -> Option<&'h [u8]> {
        self.all(name).next()
    }

    pub fn is_empty(self) -> bool {
        self.places.is_empty()
    }
}

impl Span {
    /// Where `part` is in `whole`, which it is borrowed from.
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        let is_within = start.checked_add(part.len()).is_some_and(|end| end <= whole.len());
        match (u32::try_from(start), u32::try_from(part.len())) {
            (Ok(start), Ok(len)) if is_within => Self { start, len },
            // An empty part may be anywhere.
            _ => Self::default(),
        }
    }

    fn within(self, whole: &[u8]) -> &[u8] {
        let start = self.start as usize;
        whole.get(start..start + self.len as usize).unwrap_or_default()
    }
}

fn append_places(
    places: &mut Vec<Place>,
    bytes: &[u8],
    fields: &Fields<'_, '_>,
    takes: impl Fn(&Field<'_>) -> bool,
) {
    places.reserve(fields.list().len());
    for (known, field) in fields.iter() {
        let (name, value) = (field.name.as_bytes(), field.value);
        // All those that we know are plain.
        let is_plain = known != Name::Other || name.iter().all(|byte| PLAIN[usize::from(*byte)]);
        if takes(&Field { known, is_plain, name, value }) {
            let (name, value) = (Span::of(name, bytes), Span::of(value, bytes));
            places.push(Place { known, is_plain, name, value });
        }
    }
}

/// Letters, digits and `-`.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], 0);
    while byte < 256 {
        plain[byte] = byte == b'-' as usize || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    plain
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_head_says_what_was_written() {
        let raw = b"GET /x?y HTTP/1.1\r\nHost: a\r\nx_odd: 1\r\nEmpty:\r\nCookie: b=c\r\n\r\n";
        let (kept, version) = KeptHead::lenient_request(raw, |field| field.is_plain);
        assert_eq!((kept.method(), kept.target()), (&b"GET"[..], &b"/x?y"[..]));
        assert_eq!((kept.first_line(), version), (&b"GET /x?y HTTP/1.1"[..], Version::Http11));
        let fields: Vec<_> =
            kept.fields().iter().map(|field| (field.known, field.name, field.value)).collect();
        let expected = [
            (Name::Host, &b"Host"[..], &b"a"[..]),
            (Name::Other, b"Empty", b""),
            (Name::Cookie, b"Cookie", b"b=c"),
        ];
        assert_eq!(fields, expected);
        assert_eq!(kept.fields().first(Name::Cookie), Some(&b"b=c"[..]));
        assert_eq!(kept.fields().first(Name::Expect), None);
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        for raw in [&b""[..], b"GET", b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01\r\n\r\n"] {
            let (kept, _) = KeptHead::lenient_request(raw, |_| true);
            assert_eq!((kept.method(), kept.target()), (&b""[..], &b""[..]), "{raw:?}");
            assert!(kept.fields().is_empty());
        }
        let kept = KeptHead::of_answer(b"HTTP/1.1 200 OK\r\nServer: a\r\n\r\n".to_vec());
        assert_eq!(kept.fields().first(Name::Server), Some(&b"a"[..]));
        assert!(KeptHead::of_answer(Vec::new()).fields().is_empty());
    }
}
