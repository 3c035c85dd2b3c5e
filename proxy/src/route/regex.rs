//! Regular expressions that run in linear time, with the captures of nginx.

use std::cell::RefCell;
use std::fmt;

use regex_automata::meta::{Cache, Config, Regex as Meta};
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;

use super::beginning::{Beginning, Mark, first_eight};
use super::pattern;
use super::variable::Variable;

/// A compiled expression. [`super::variable::Registry::regex`] makes it: captures with a name
/// become variables.
pub struct Regex {
    compiled: Compiled,
    /// Where its cache is among those of its configuration.
    number: usize,
    /// Groups with a name, and the variables they set.
    pub(super) named: Box<[(usize, Variable)]>,
    source: Box<[u8]>,
    caseless: bool,
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

    /// One group, of `len` bytes from `start`.
    pub(super) fn set(&mut self, text: &[u8], start: usize, len: usize) {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.spans[..2].copy_from_slice(&[(0, start + len), (start, start + len)]);
        self.count = 2;
    }
}

impl Regex {
    pub(super) fn new(source: &[u8], caseless: bool, number: usize) -> Result<Self, String> {
        let compiled = compile(source, caseless)?;
        Ok(Self { compiled, number, named: Box::default(), source: source.into(), caseless })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    pub(super) fn group_names(&self) -> impl Iterator<Item = (usize, &str)> {
        let names =
            self.compiled.matcher.group_info().pattern_names(regex_automata::PatternID::ZERO);
        names.enumerate().filter_map(|(group, name)| name.map(|name| (group, name)))
    }

    /// True when no beginning says what can't match.
    pub(super) fn is_searched(&self) -> bool {
        self.compiled.beginning.is_none()
    }

    /// What can't match, as far as that is seen at once.
    pub(super) fn mark(&self) -> Mark {
        self.compiled.mark
    }

    /// Whether it matches. Captures are those of the last match; a match without groups leaves
    /// none.
    pub(super) fn exec(&self, text: &[u8], captures: &mut Captures, generation: u64) -> bool {
        self.compiled.decide(text, captures).unwrap_or_else(|| {
            CACHES.with_borrow_mut(|caches| {
                let cache = caches.of(&self.compiled.matcher, self.number, generation);
                self.compiled.search(text, cache, captures)
            })
        })
    }
}

/// What an expression is made into.
#[derive(Debug)]
pub struct Compiled {
    matcher: Meta,
    beginning: Option<Beginning>,
    mark: Mark,
}

impl Compiled {
    /// Whether it matches, by a search with a cache of its own.
    pub fn is_found(&self, text: &[u8], captures: &mut Captures) -> bool {
        self.search(text, &mut self.matcher.create_cache(), captures)
    }

    /// The same where it is seen without a search.
    pub fn is_seen(&self, text: &[u8], captures: &mut Captures) -> Option<bool> {
        let ruled_out = self.mark.rules_out(first_eight(text), text.len());
        if ruled_out { Some(false) } else { self.decide(text, captures) }
    }

    fn decide(&self, text: &[u8], captures: &mut Captures) -> Option<bool> {
        self.beginning.as_ref().and_then(|beginning| beginning.decide(text, captures))
    }

    fn search(&self, text: &[u8], cache: &mut Cache, captures: &mut Captures) -> bool {
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

/// What matchers write while they search. It is needed between two waits only, so that the requests
/// of a thread can share it: one for each would not stay in the processor's caches.
#[derive(Debug, Default)]
struct Caches {
    /// The configuration they belong to.
    generation: u64,
    by_number: Vec<Option<Box<Cache>>>,
}

thread_local! {
    static CACHES: RefCell<Caches> = RefCell::default();
}

impl Caches {
    fn of(&mut self, matcher: &Meta, number: usize, generation: u64) -> &mut Cache {
        if self.generation != generation {
            self.generation = generation;
            self.by_number.clear();
        }
        if self.by_number.len() <= number {
            self.by_number.resize_with(number + 1, || None);
        }
        let cache = &mut self.by_number[number];
        cache.get_or_insert_with(|| Box::new(matcher.create_cache()))
    }
}

/// Whether it matches, for a matcher without captures.
pub(super) fn is_match(matcher: &Meta, number: usize, text: &[u8], generation: u64) -> bool {
    let input = Input::new(text).anchored(Anchored::No).earliest(true);
    CACHES.with_borrow_mut(|caches| {
        matcher.search_half_with(caches.of(matcher, number, generation), &input).is_some()
    })
}

/// One matcher of all these, without their groups. `None` where it would be too large.
pub(super) fn any_of(regexes: &[&Regex]) -> Option<Meta> {
    let parsed = regexes.iter().map(|regex| parse(&regex.source, regex.caseless).ok());
    let parsed = parsed.collect::<Option<Vec<_>>>()?;
    // Without even the whole match, some of the library's strategies find none.
    let config = config().which_captures(WhichCaptures::Implicit);
    Meta::builder().configure(config).build_many_from_hir(&parsed).ok()
}

/// The matcher of a PCRE pattern and what is seen of it at once, or why there is none.
pub fn compile(source: &[u8], caseless: bool) -> Result<Compiled, String> {
    let place = || format!("in \"{}\"", source.escape_ascii());
    let parsed = parse(source, caseless).map_err(|cause| format!("{cause} {}", place()))?;
    let matcher = Meta::builder().configure(config()).build_from_hir(&parsed);
    let matcher = matcher.map_err(|error| match error.size_limit() {
        Some(_) => format!("regex is too large {}", place()),
        None => format!("{error} {}", place()),
    })?;
    let beginning = Beginning::of(&parsed, matcher.captures_len());
    let mark = Mark::of(&parsed, beginning.as_ref());
    Ok(Compiled { matcher, beginning, mark })
}

fn config() -> Config {
    Config::new()
        .nfa_size_limit(Some(SIZE_MAX))
        .onepass_size_limit(Some(SIZE_MAX))
        .hybrid_cache_capacity(SIZE_MAX)
        .which_captures(WhichCaptures::All)
        .utf8_empty(false)
}

fn parse(source: &[u8], caseless: bool) -> Result<Hir, String> {
    if source.len() > PATTERN_BYTES_MAX {
        return Err(format!("regex is longer than {PATTERN_BYTES_MAX} bytes"));
    }
    let pattern = pattern::translate(source)?;
    let syntax = syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .case_insensitive(caseless)
        .nest_limit(NESTING_MAX);
    syntax::parse_with(&pattern, &syntax).map_err(|error| {
        // The last line of the library's report is the reason, the others draw the place.
        let report = error.to_string();
        let reason = report.lines().last().unwrap_or_default();
        reason.trim_start_matches("error: ").to_owned()
    })
}

/// `$0` to `$9`; nginx has no more.
const GROUPS_MAX: usize = 10;
const PATTERN_BYTES_MAX: usize = 8 << 10;
/// Bytes a compiled expression and each of its caches may take.
const SIZE_MAX: usize = 1 << 20;
const NESTING_MAX: u32 = 64;
