//! Which location a URI leads to: exact, longest prefix, then expressions in their order.

use std::borrow::Cow;

use std::cmp::Ordering;

use super::beginning::first_eight;
use super::regex::Regex;
use super::regexes::Regexes;
use super::state::State;
use super::variable::{Registry, Variables};
use crate::lookup::Lookup;

/// The server level among locations: what is in force where none matches.
pub const SERVER: usize = 0;

/// How a location is matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// `= /path`.
    Exact(Box<[u8]>),
    /// `/path`, and `^~ /path`, after which no expression is tried.
    Prefix { name: Box<[u8]>, no_regex: bool },
    /// `~ pattern`, `~* pattern`.
    Regex { pattern: Box<[u8]>, caseless: bool },
    /// `@name`, reached by internal redirects alone.
    Named(Box<[u8]>),
    /// The inside of an `if` or a `limit_except`.
    Nameless,
}

impl Match {
    /// The arguments of `location`.
    pub fn parse(arguments: &[&[u8]]) -> Result<Self, String> {
        let (modifier, name) = match arguments {
            [modifier, name] => (*modifier, *name),
            [word] => split_modifier(word),
            _ => return Err("invalid number of arguments in \"location\" directive".into()),
        };
        let prefix = |no_regex| Self::Prefix { name: name.into(), no_regex };
        let regex = |caseless| Self::Regex { pattern: name.into(), caseless };
        Ok(match modifier {
            b"=" => Self::Exact(name.into()),
            b"^~" => prefix(true),
            b"~" => regex(false),
            b"~*" => regex(true),
            b"" if name.starts_with(b"@") => Self::Named(name.into()),
            b"" => prefix(false),
            other => {
                let other = String::from_utf8_lossy(other);
                return Err(format!("invalid location modifier \"{other}\""));
            }
        })
    }

    /// What no other location beside it may have: an exact and a prefix location may share a name.
    /// Of expressions and of names nginx takes the first and says nothing.
    pub fn claim(&self) -> Option<(bool, &[u8])> {
        match self {
            Self::Exact(name) => Some((true, name)),
            Self::Prefix { name, .. } => Some((false, name)),
            Self::Named(_) | Self::Regex { .. } | Self::Nameless => None,
        }
    }

    /// What is said of a second one with its claim.
    pub fn duplicate(&self) -> String {
        format!("duplicate location \"{}\"", self.shown())
    }

    fn shown(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.name())
    }

    /// As messages name it.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::Exact(name) | Self::Prefix { name, .. } | Self::Named(name) => name,
            Self::Regex { pattern, .. } => pattern,
            Self::Nameless => b"",
        }
    }
}

/// `~*\.png$` written as one word.
fn split_modifier(word: &[u8]) -> (&[u8], &[u8]) {
    for modifier in [&b"="[..], b"^~", b"~*", b"~"] {
        if let Some(name) = word.strip_prefix(modifier) {
            return (&word[..modifier.len()], name);
        }
    }
    (b"", word)
}

/// Locations while a server is being read. The number 0 is the server level.
#[derive(Debug)]
pub struct Builder {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    matched: Match,
    regex: Option<Regex>,
    parent: usize,
    adds_slash: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let server =
            Entry { matched: Match::Nameless, regex: None, parent: SERVER, adds_slash: false };
        Self { entries: vec![server] }
    }
}

impl Builder {
    /// Adds a location within `parent` and says its number.
    pub fn add(
        &mut self,
        parent: usize,
        matched: Match,
        registry: &mut Registry,
    ) -> Result<usize, String> {
        if parent != SERVER && matched != Match::Nameless {
            check_nesting(&self.entries[parent].matched, &matched)?;
        }
        let same =
            |entry: &Entry| entry.parent == parent && entry.matched.claim() == matched.claim();
        if matched.claim().is_some() && self.entries.iter().skip(1).any(same) {
            return Err(matched.duplicate());
        }
        let regex = match &matched {
            Match::Regex { pattern, caseless } => Some(registry.regex(pattern, *caseless)?),
            Match::Exact(_) | Match::Prefix { .. } | Match::Named(_) | Match::Nameless => None,
        };
        self.entries.push(Entry { matched, regex, parent, adds_slash: false });
        Ok(self.entries.len() - 1)
    }

    /// `/app` is redirected to the location `/app/`: what `proxy_pass` brings with it.
    pub fn add_slash(&mut self, location: usize) {
        self.entries[location].adds_slash = true;
    }

    pub fn matched(&self, location: usize) -> &Match {
        &self.entries[location].matched
    }

    pub fn finish(self, registry: &mut Registry) -> Locations {
        let mut levels: Vec<Draft> = Vec::new();
        levels.resize_with(self.entries.len(), Draft::default);
        let mut named = Lookup::default();
        let mut locations = Vec::with_capacity(self.entries.len());
        for (number, entry) in self.entries.into_iter().enumerate() {
            let level = &mut levels[entry.parent];
            let mut no_regex = false;
            match &entry.matched {
                Match::Exact(name) => level.entry(name).exact = Some(number),
                Match::Prefix { name, no_regex: stops } => {
                    no_regex = *stops;
                    level.entry(name).inclusive = Some(number);
                }
                Match::Named(name) => {
                    named.entry(name.clone()).or_insert(number);
                }
                Match::Regex { .. } | Match::Nameless => {}
            }
            if let (true, Some(slashless)) =
                (entry.adds_slash, entry.matched.name().strip_suffix(b"/"))
                && !matches!(entry.matched, Match::Regex { .. } | Match::Named(_))
            {
                level.slashless.push((slashless.into(), number));
            }
            if let Some(regex) = entry.regex {
                level.regexes.push(regex, number);
            }
            locations.push(Location { name: entry.matched.name().into(), no_regex, level: None });
        }
        for (location, level) in locations.iter_mut().zip(levels) {
            location.level = level.finish(registry).map(Box::new);
        }
        Locations { locations: locations.into(), named }
    }
}

/// What a location within another may not be.
pub fn check_nesting(outer: &Match, inner: &Match) -> Result<(), String> {
    let (name, outer_name) = (inner.shown(), outer.shown());
    match (outer, inner) {
        (Match::Exact(_), _) => {
            Err(format!("location \"{name}\" cannot be inside the exact location \"{outer_name}\""))
        }
        (Match::Named(_), _) => {
            Err(format!("location \"{name}\" cannot be inside the named location \"{outer_name}\""))
        }
        (_, Match::Named(_)) => {
            Err(format!("named location \"{name}\" can be on the server level only"))
        }
        (_, Match::Exact(path) | Match::Prefix { name: path, .. })
            if !path.starts_with(outer.name()) =>
        {
            Err(format!("location \"{name}\" is outside location \"{outer_name}\""))
        }
        _ => Ok(()),
    }
}

#[derive(Debug, Default)]
struct Draft {
    statics: Vec<Static>,
    slashless: Vec<(Box<[u8]>, usize)>,
    regexes: Regexes<usize>,
}

impl Draft {
    fn entry(&mut self, name: &[u8]) -> &mut Static {
        let at = self.statics.iter().position(|known| *known.name == *name).unwrap_or_else(|| {
            let (beginning, none) = (first_eight(name), None);
            let name = name.into();
            self.statics.push(Static {
                beginning,
                name,
                exact: none,
                inclusive: none,
                parent: none,
            });
            self.statics.len() - 1
        });
        &mut self.statics[at]
    }

    fn finish(mut self, registry: &mut Registry) -> Option<Level> {
        if self.statics.is_empty() && self.regexes.is_empty() {
            return None;
        }
        self.statics.sort_by(|a, b| a.name.cmp(&b.name));
        for at in 0..self.statics.len() {
            let (before, rest) = self.statics.split_at(at);
            // The longest prefix is the last of those that sort in front.
            let is_parent =
                |known: &Static| known.inclusive.is_some() && rest[0].name.starts_with(&known.name);
            self.statics[at].parent = before.iter().rposition(is_parent);
        }
        self.regexes.join(registry);
        let Self { statics, mut slashless, regexes } = self;
        for (name, number) in &mut slashless {
            // Of two locations with the name, the exact one redirects.
            let name = [&**name, b"/"].concat();
            let exact = statics.iter().find(|known| *known.name == *name).and_then(|it| it.exact);
            *number = exact.unwrap_or(*number);
        }
        Some(Level { statics: statics.into(), slashless: slashless.into_iter().collect(), regexes })
    }
}

/// The locations of a server, ready to be searched.
#[derive(Debug)]
pub struct Locations {
    locations: Box<[Location]>,
    named: Lookup<Box<[u8]>, usize>,
}

#[derive(Debug)]
struct Location {
    name: Box<[u8]>,
    no_regex: bool,
    /// The locations within.
    level: Option<Box<Level>>,
}

/// The locations of one level.
#[derive(Debug)]
struct Level {
    /// Sorted by name.
    statics: Box<[Static]>,
    /// Names of redirecting locations without their final slash.
    slashless: Lookup<Box<[u8]>, usize>,
    regexes: Regexes<usize>,
}

#[derive(Debug)]
struct Static {
    /// [`first_eight`] of the name: most comparisons end here, and need not look elsewhere.
    beginning: u64,
    name: Box<[u8]>,
    exact: Option<usize>,
    inclusive: Option<usize>,
    /// The longest prefix location whose name begins this one.
    parent: Option<usize>,
}

/// Where a URI leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// [`SERVER`] if none matches.
    Location(usize),
    /// To the name of this location: only the final slash is missing.
    MissingSlash(usize),
}

/// What the names of one level come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    Exact(usize),
    Prefix(usize),
    MissingSlash(usize),
    Nothing,
}

impl Locations {
    pub fn len(&self) -> usize {
        self.locations.len()
    }

    pub fn is_empty(&self) -> bool {
        false
    }

    /// The name of a location, a pattern for one of an expression.
    pub fn name(&self, location: usize) -> &[u8] {
        &self.locations[location].name
    }

    pub fn named(&self, name: &[u8]) -> Option<usize> {
        self.named.get(name).copied()
    }

    /// The location of the state's URI. Captures of the expression that matched are set.
    pub fn find(&self, state: &mut State, variables: &Variables) -> Place {
        let mut best = SERVER;
        let settled = self.search(SERVER, &mut best, state, variables);
        settled.unwrap_or(Place::Location(best))
    }

    /// Searches the locations within `outer`, as deep as the configuration nests. `Some` for a
    /// place that nothing further out can change; `best` is the longest prefix so far.
    fn search(
        &self,
        outer: usize,
        best: &mut usize,
        state: &mut State,
        variables: &Variables,
    ) -> Option<Place> {
        let level = self.locations[outer].level.as_ref()?;
        match level.find_static(&state.uri) {
            Hit::Exact(location) => return Some(Place::Location(location)),
            Hit::MissingSlash(location) => return Some(Place::MissingSlash(location)),
            Hit::Prefix(location) => {
                *best = location;
                let settled = self.search(location, best, state, variables);
                if settled.is_some() || self.locations[location].no_regex {
                    return settled;
                }
            }
            Hit::Nothing => {}
        }
        let found = state.with_uri(|uri, state| level.regexes.find(uri, state, variables).copied());
        *best = found?;
        let settled = self.search(*best, best, state, variables);
        Some(settled.unwrap_or(Place::Location(*best)))
    }
}

impl Level {
    fn find_static(&self, uri: &[u8]) -> Hit {
        let begins = first_eight(uri);
        let after = self.statics.partition_point(|known| match known.beginning.cmp(&begins) {
            Ordering::Equal => *known.name <= *uri,
            unequal => unequal.is_lt(),
        });
        let mut at = after.checked_sub(1);
        let last = at.map(|at| &self.statics[at]).filter(|last| *last.name == *uri);
        match last {
            Some(Static { exact: Some(location), .. }) => return Hit::Exact(*location),
            Some(Static { inclusive: Some(location), .. }) => return Hit::Prefix(*location),
            _ => {}
        }
        if let Some(location) = self.slashless.get(uri) {
            return Hit::MissingSlash(*location);
        }
        // Whatever is a prefix of the URI is a prefix of the last name that sorts in front of it.
        while let Some(candidate) = at {
            let known = &self.statics[candidate];
            match known.inclusive {
                Some(location) if uri.starts_with(&known.name) => return Hit::Prefix(location),
                _ => at = known.parent,
            }
        }
        Hit::Nothing
    }
}
