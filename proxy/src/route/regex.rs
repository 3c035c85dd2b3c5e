//! Regular expressions that run in linear time, with the captures of nginx.

use std::fmt;

use regex_automata::meta::{Cache, Config, Regex as Meta};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::pattern;
use super::variable::Variable;

/// A compiled expression. [`super::variable::Registry::regex`] makes it: captures with a name
/// become variables.
pub struct Regex {
    matcher: Meta,
    /// Where its cache is among those of a [`super::state::State`].
    pub(super) number: usize,
    /// Groups with a name, and the variables they set.
    pub(super) named: Box<[(usize, Variable)]>,
    source: Box<[u8]>,
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Regex(\"{}\")", self.source.escape_ascii())
    }
}

/// The text of the last match and where its groups are in it.
#[derive(Debug, Default)]
pub struct Captures {
    text: Vec<u8>,
    spans: [(usize, usize); GROUPS_MAX],
    count: usize,
}

impl Captures {
    /// Group `number`, 1 to 9; empty when it took no part in the match.
    pub fn get(&self, number: usize) -> &[u8] {
        if number >= self.count {
            return b"";
        }
        let (start, end) = self.spans[number];
        self.text.get(start..end).unwrap_or_default()
    }

    pub fn clear(&mut self) {
        self.count = 0;
    }
}

impl Regex {
    pub(super) fn new(source: &[u8], caseless: bool, number: usize) -> Result<Self, String> {
        let matcher = compile(source, caseless)?;
        Ok(Self { matcher, number, named: Box::default(), source: source.into() })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    pub(super) fn group_names(&self) -> impl Iterator<Item = (usize, &str)> {
        let names = self.matcher.group_info().pattern_names(regex_automata::PatternID::ZERO);
        names.enumerate().filter_map(|(group, name)| name.map(|name| (group, name)))
    }

    pub(super) fn cache(&self) -> Cache {
        self.matcher.create_cache()
    }

    /// Whether it matches. Captures are those of the last match; a match without groups leaves
    /// none.
    pub(super) fn exec(&self, text: &[u8], cache: &mut Cache, captures: &mut Captures) -> bool {
        let input = Input::new(text).anchored(Anchored::No);
        if self.matcher.captures_len() <= 1 {
            let matched = self.matcher.search_half_with(cache, &input.earliest(true)).is_some();
            if matched {
                captures.clear();
            }
            return matched;
        }
        let mut slots: [Option<NonMaxUsize>; 2 * GROUPS_MAX] = [None; 2 * GROUPS_MAX];
        if self.matcher.search_slots_with(cache, &input, &mut slots).is_none() {
            return false;
        }
        captures.text.clear();
        captures.text.extend_from_slice(text);
        captures.count = self.matcher.captures_len().min(GROUPS_MAX);
        for (span, slot) in captures.spans.iter_mut().zip(slots.as_chunks::<2>().0) {
            *span = match slot {
                [Some(start), Some(end)] => (start.get(), end.get()),
                _ => (0, 0),
            };
        }
        true
    }
}

/// The matcher of a PCRE pattern, or why there is none.
pub fn compile(source: &[u8], caseless: bool) -> Result<Meta, String> {
    let place = || format!("in \"{}\"", source.escape_ascii());
    if source.len() > PATTERN_BYTES_MAX {
        return Err(format!("regex is longer than {PATTERN_BYTES_MAX} bytes {}", place()));
    }
    let pattern = pattern::translate(source).map_err(|cause| format!("{cause} {}", place()))?;
    let config = Config::new()
        .nfa_size_limit(Some(SIZE_MAX))
        .onepass_size_limit(Some(SIZE_MAX))
        .hybrid_cache_capacity(SIZE_MAX)
        .which_captures(WhichCaptures::All)
        .utf8_empty(false);
    let syntax = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(caseless)
        .nest_limit(NESTING_MAX);
    Meta::builder().configure(config).syntax(syntax).build(&pattern).map_err(|error| {
        if error.size_limit().is_some() {
            return format!("regex is too large {}", place());
        }
        // The last line of the library's report is the reason, the others draw the place.
        let report = error.syntax_error().map_or(error.to_string(), ToString::to_string);
        let reason = report.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("{reason} {}", place())
    })
}

/// `$0` to `$9`; nginx has no more.
const GROUPS_MAX: usize = 10;
const PATTERN_BYTES_MAX: usize = 8 << 10;
/// Bytes a compiled expression and each of its caches may take.
const SIZE_MAX: usize = 1 << 20;
const NESTING_MAX: u32 = 64;
