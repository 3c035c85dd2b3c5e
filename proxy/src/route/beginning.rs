//! What is seen of an expression at once, without a search: most of those in configurations begin with
//! `^` and some text, and in many of these there is little behind it.

use regex_automata::util::syntax;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use super::pattern;
use super::regex::Captures;

/// The beginnings of texts as numbers, the first of their first eight bytes highest: two numbers are
/// in the order of the texts.
pub(super) fn first_eight(text: &[u8]) -> u64 {
    if let Some(first) = text.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    text.iter().fold(0, |first, byte| first << 8 | u64::from(*byte))
        << (64 - 8 * text.len()).min(63)
}

/// What every text that an expression matches has in common. Small, so that many can be looked at
/// in a few lines of the processor's cache.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// [`first_eight`] of them, as far as `mask` has bits.
    first: u64,
    mask: u64,
    /// Bytes of the shortest.
    len_min: usize,
}

impl Mark {
    pub(super) fn of(pattern: &Hir, beginning: Option<&Beginning>) -> Self {
        let text = beginning.map_or(&b""[..], |beginning| &beginning.text);
        let len = text.len().min(8);
        Self {
            first: first_eight(text),
            mask: first_eight(&[u8::MAX; 8][..len]),
            len_min: pattern.properties().minimum_len().unwrap_or(0),
        }
    }

    /// True where a text can't match; `first` is [`first_eight`] of it.
    pub(super) fn rules_out(&self, first: u64, len: usize) -> bool {
        first & self.mask != self.first || len < self.len_min
    }
}

/// `^` and some text: what begins otherwise does not match, and often there is nothing more to find
/// out.
#[derive(Debug)]
pub(super) struct Beginning {
    text: Box<[u8]>,
    then: Then,
}

/// What stands behind the text.
#[derive(Debug)]
enum Then {
    /// Nothing: it matches.
    Nothing,
    Run(Run),
    /// What the matcher has to look at.
    More,
}

/// `.*`, `[0-9]+`, `([^/]+)`: as many bytes of a kind as there are.
#[derive(Debug)]
struct Run {
    /// Which bytes.
    kind: Box<[bool; 256]>,
    min: usize,
    /// It is the one group.
    is_group: bool,
    /// `$` stands behind it.
    is_last: bool,
}

impl Beginning {
    /// `groups` counts the whole match.
    pub(super) fn of(pattern: &Hir, groups: usize) -> Option<Self> {
        let HirKind::Concat(parts) = pattern.kind() else { return None };
        let (first, rest) = parts.split_first()?;
        if !matches!(first.kind(), HirKind::Look(Look::Start)) {
            return None;
        }
        let (text, rest) = match rest.first()?.kind() {
            HirKind::Literal(text) => (&*text.0, &rest[1..]),
            _ => (&b""[..], rest),
        };
        let then = match rest {
            [] if groups == 1 => Then::Nothing,
            [run, end @ ..] if end.is_empty() || is_end(end) => {
                Run::of(run, !end.is_empty(), groups).map_or(Then::More, Then::Run)
            }
            _ => Then::More,
        };
        Some(Self { text: text.into(), then })
    }

    /// `None`: the matcher has to say.
    pub(super) fn decide(&self, text: &[u8], captures: &mut Captures) -> Option<bool> {
        let Some(rest) = text.strip_prefix(&*self.text) else { return Some(false) };
        match &self.then {
            Then::Nothing => captures.clear(),
            Then::Run(run) => {
                let len = run.len_in(rest);
                match rest[len..] {
                    // Before it `$` matches as well.
                    [b'\n'] if run.is_last => return None,
                    [_, ..] if run.is_last => return Some(false),
                    _ if len < run.min => return Some(false),
                    _ if run.is_group => captures.set(text, self.text.len(), len),
                    _ => captures.clear(),
                }
            }
            Then::More => return None,
        }
        Some(true)
    }
}

impl Run {
    fn of(part: &Hir, is_last: bool, groups: usize) -> Option<Self> {
        let (part, is_group) = match part.kind() {
            HirKind::Capture(group) => (&*group.sub, true),
            _ => (part, false),
        };
        let HirKind::Repetition(repetition) = part.kind() else { return None };
        let Repetition { min, max: None, greedy: true, sub } = repetition else { return None };
        let HirKind::Class(Class::Bytes(class)) = sub.kind() else { return None };
        let mut kind = Box::new([false; 256]);
        for byte in class.iter().flat_map(|range| range.start()..=range.end()) {
            kind[usize::from(byte)] = true;
        }
        let min = usize::try_from(*min).ok()?;
        (groups == 1 + usize::from(is_group)).then_some(Self { kind, min, is_group, is_last })
    }

    /// How many bytes of the kind `text` begins with.
    fn len_in(&self, text: &[u8]) -> usize {
        text.iter().position(|byte| !self.kind[usize::from(*byte)]).unwrap_or(text.len())
    }
}

/// True for `$` as it is translated, at the end of a pattern.
fn is_end(parts: &[Hir]) -> bool {
    let config = syntax::Config::new().unicode(false).utf8(false);
    let end = syntax::parse_with(pattern::END, &config);
    end.is_ok_and(|end| matches!(end.kind(), HirKind::Concat(end) if end == parts))
}

#[cfg(test)]
mod tests {
    use super::super::regex::compile;
    use super::*;

    const TEXTS: &[&str] = &[
        "",
        "/",
        "/a",
        "/a/",
        "/A/",
        "/a/b",
        "/a/b/",
        "/a/x\n",
        "\n/a/b",
        "/a/b\nc",
        "/b",
        "/a/b.js",
        "x/a/b",
        "\n",
        "/a/12",
        "/a/1x",
        "/a/12\n",
        "/a/1\n2",
        "/a/\n",
        "/a/é",
        "/a/B",
        "/abcdefgh/1",
        "/abcdefg",
        "/abcdefgx/1",
    ];

    /// What is seen at once is what the matcher finds, captures included.
    #[test]
    fn a_beginning_decides_as_the_matcher_does() {
        let (mut decided, mut captures) = (0, [Captures::default(), Captures::default()]);
        for (pattern, caseless) in [
            ("^/a/", false),
            ("^/a/", true),
            ("^", false),
            ("^/a/(.*)", false),
            ("^/a/(.*)$", false),
            ("^/a/(?<rest>.+)$", false),
            ("^(.*)$", false),
            ("^(.+)$", true),
            ("^/a/(.*?)", false),
            ("^/a/([^/]*)$", false),
            ("^/a/([^/]*)", false),
            ("^/a/([^/]{2,})$", false),
            ("^/a/([^/]{2,3})$", false),
            ("^/a/[0-9]+$", false),
            ("^/a/[0-9]+", false),
            ("^/a/[a-c]+$", true),
            ("^/a/\\d*$", false),
            ("^/a/(\\w+)(x?)$", false),
            ("^/abcdefgh/[0-9]+$", false),
            ("^/a/(.*)/$", false),
            ("^/a/(.*)x(.*)$", false),
            ("^/a/.*$", false),
            ("^/a/.*\\z", false),
            ("^/a$", false),
            ("^/a|/b", false),
            ("(?m)^/a/", false),
            ("(?s)^/a/(.+)$", false),
            ("^/a/(.*)\\.(js|css)$", false),
            ("/a/(.*)$", false),
            ("a{3,}", false),
        ] {
            let compiled = compile(pattern.as_bytes(), caseless).unwrap();
            for text in TEXTS.iter().map(|text| text.as_bytes()) {
                let [quick, slow] = &mut captures;
                slow.clear();
                let found = compiled.is_found(text, slow);
                let Some(matched) = compiled.is_seen(text, quick) else { continue };
                decided += 1;
                assert_eq!(matched, found, "{pattern} {text:?}");
                assert!(!matched || quick.get(1) == slow.get(1), "{pattern} {text:?}");
            }
        }
        assert!(decided > 300, "{decided} seen at once");
    }

    #[test]
    fn numbers_are_in_the_order_of_the_texts() {
        let mut texts = TEXTS.to_vec();
        texts.sort_unstable();
        assert!(texts.is_sorted_by_key(|text| first_eight(text.as_bytes())));
        assert_eq!(first_eight(b"a"), u64::from(b'a') << 56);
    }
}
