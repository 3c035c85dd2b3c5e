//! The media type of a file, by the extension of its URI: nginx's `types` and `default_type`.

use std::sync::Arc;

/// The types of a location.
#[derive(Debug, Clone)]
pub struct Types {
    /// Extension, in lower case, and type; in order of the extension. Many locations share them.
    entries: Arc<[Entry]>,
    /// For all other files; nothing when it is empty.
    default: Box<[u8]>,
}

type Entry = (Box<[u8]>, Box<[u8]>);

impl Types {
    /// `entries` are pairs of extension and type, as the lines of `types` have them; of two for
    /// one extension the later holds. An empty list is an empty `types {}`, which knows none: what
    /// holds without such a block is [`Types::default`].
    pub fn new<'a>(
        entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        default: &[u8],
    ) -> Self {
        let mut sorted: Vec<Entry> = Vec::new();
        for (extension, media) in entries {
            let extension = extension.to_ascii_lowercase().into_boxed_slice();
            match sorted.binary_search_by(|(known, _)| known.cmp(&extension)) {
                Ok(at) => sorted[at].1 = media.into(),
                Err(at) => sorted.insert(at, (extension, media.into())),
            }
        }
        Self { entries: sorted.into(), default: default.into() }
    }

    /// The same with another type for all other files.
    pub fn with_default(&self, default: &[u8]) -> Self {
        Self { entries: self.entries.clone(), default: default.into() }
    }

    /// The type of the file that a URI names.
    pub fn of(&self, uri: &[u8]) -> &[u8] {
        let known = extension(uri).and_then(|extension| {
            let lower = || extension.iter().map(u8::to_ascii_lowercase);
            let at = self.entries.binary_search_by(|(known, _)| known.iter().copied().cmp(lower()));
            at.ok().map(|at| &*self.entries[at].1)
        });
        known.unwrap_or(&self.default)
    }
}

/// What nginx knows without a `types` block.
impl Default for Types {
    fn default() -> Self {
        Self::new(BUILT_IN.iter().copied(), b"text/plain")
    }
}

/// What follows the last dot of the last segment. A dot that begins the segment hides the file and
/// begins no extension.
fn extension(uri: &[u8]) -> Option<&[u8]> {
    let start = memchr::memrchr(b'/', uri).map_or(0, |slash| slash + 1);
    let name = &uri[start..];
    match memchr::memrchr(b'.', name) {
        None | Some(0) => None,
        Some(dot) => Some(&name[dot + 1..]).filter(|extension| !extension.is_empty()),
    }
}

const BUILT_IN: &[(&[u8], &[u8])] =
    &[(b"html", b"text/html"), (b"gif", b"image/gif"), (b"jpg", b"image/jpeg")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_found_by_extension() {
        let types = Types::new(
            [
                (&b"css"[..], &b"text/css"[..]),
                (b"JS", b"text/old"),
                (b"js", b"text/javascript"),
                (b"gz", b"application/gzip"),
            ],
            b"application/octet-stream",
        );
        for (uri, expected) in [
            ("/a.css", "text/css"),
            ("/a.CsS", "text/css"),
            ("/a.js", "text/javascript"),
            ("/a.tar.gz", "application/gzip"),
            ("/.css", "application/octet-stream"),
            ("/x/.css", "application/octet-stream"),
            ("/..css", "text/css"),
            ("/a.", "application/octet-stream"),
            ("/a.cssx", "application/octet-stream"),
            ("/a.css/b", "application/octet-stream"),
            ("/a", "application/octet-stream"),
            ("/", "application/octet-stream"),
            ("", "application/octet-stream"),
        ] {
            assert_eq!(types.of(uri.as_bytes()).escape_ascii().to_string(), expected, "{uri}");
        }
        assert_eq!(Types::default().of(b"/a.html"), b"text/html");
        assert_eq!(Types::default().of(b"/a.css"), b"text/plain");
        assert_eq!(Types::new([], b"").of(b"/a.html"), b"");
    }
}
