//! The names of variables, resolved once: what is read per request is an index.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::builtin::{self, Builtin};
use super::fields::VariableName;
use super::map::Map;
use super::regex::Regex;
use super::root::Root;

/// A variable of a configuration; an index, meaningless in any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variable(pub(super) u32);

/// Where a variable's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// `set`: the slot of that number.
    Slot(usize),
    /// A named capture's slot: it has no value before an expression has found one.
    Captured(usize),
    Map {
        map: usize,
        slot: usize,
    },
    /// `$args` and `$limit_rate`, which `set` may change, among them.
    Builtin(Builtin),
    /// The rest of the name, in lower case.
    Prefixed(Prefix, VariableName),
}

/// Families of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Http,
    SentHttp,
    SentTrailer,
    UpstreamHttp,
    UpstreamTrailer,
    UpstreamCookie,
    Cookie,
    Arg,
}

/// Every variable, map, root and regular expression of a configuration that is being read.
#[derive(Debug, Default)]
pub struct Registry {
    index: HashMap<Box<[u8]>, Variable>,
    names: Vec<Entry>,
    maps: Vec<Map>,
    roots: Vec<Root>,
    regexes: usize,
    slots: usize,
    place: usize,
}

#[derive(Debug)]
struct Entry {
    name: Box<[u8]>,
    place: usize,
    defined: Option<Source>,
}

/// A variable that nothing defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Where it was first named: what [`Registry::at`] was last told.
    pub place: usize,
    /// `unknown "foo" variable`.
    pub words: String,
}

/// What is costly to know, and found out only where something names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reads {
    pub server_addr: bool,
    /// A system call.
    pub pid: bool,
    pub request_id: bool,
    pub request_body: bool,
    /// When the request began.
    pub request_time: bool,
    /// Where the upstream was, and how it fared.
    pub tries: bool,
    /// Fields of the answer, as the upstream or we sent them.
    pub answer_fields: bool,
    /// What `add_trailer` put behind the answer.
    pub sent_trailers: bool,
}

/// What a finished configuration knows of variables.
#[derive(Debug)]
pub struct Variables {
    pub(super) generation: u64,
    pub reads: Reads,
    /// The named ones that never have a value here, each with the reason.
    pub unset: Vec<(Box<[u8]>, &'static str)>,
    sources: Box<[Source]>,
    pub(super) maps: Box<[Map]>,
    pub(super) roots: Box<[Root]>,
    pub(super) slots: usize,
}

impl Registry {
    /// Notes a place (say, the number of a directive) for what is named from now on.
    pub fn at(&mut self, place: usize) {
        self.place = place;
    }

    /// The variable of that name, which may be defined later. Names know no case.
    pub fn reference(&mut self, name: &[u8]) -> Result<Variable, String> {
        if name.is_empty() {
            return Err("invalid variable name \"$\"".into());
        }
        let name = name.to_ascii_lowercase();
        if let Some(variable) = self.index.get(&*name) {
            return Ok(*variable);
        }
        let variable = Variable(u32::try_from(self.names.len()).map_err(|_| "too many variables")?);
        let name: Box<[u8]> = name.into();
        self.index.insert(name.clone(), variable);
        self.names.push(Entry { name, place: self.place, defined: None });
        Ok(variable)
    }

    /// A variable that `set` or a named capture gives a value to.
    pub fn settable(&mut self, name: &[u8]) -> Result<Variable, String> {
        let variable = self.reference(name)?;
        let entry = &mut self.names[variable.0 as usize];
        match (&entry.defined, builtin::find(&entry.name)) {
            (Some(_), _) => {}
            (None, Some(builtin @ (Builtin::Args | Builtin::LimitRate))) => {
                entry.defined = Some(Source::Builtin(builtin));
            }
            (None, Some(_)) => return Err(duplicate(&entry.name)),
            (None, None) => {
                entry.defined = Some(Source::Slot(self.slots));
                self.slots += 1;
            }
        }
        Ok(variable)
    }

    /// A variable that a named group gives a value to; `set` may as well.
    fn capture(&mut self, name: &[u8]) -> Result<Variable, String> {
        let variable = self.settable(name)?;
        let defined = &mut self.names[variable.0 as usize].defined;
        if let Some(Source::Slot(slot)) = *defined {
            *defined = Some(Source::Captured(slot));
        }
        Ok(variable)
    }

    /// Gives `name` to a map.
    pub fn define_map(&mut self, name: &[u8], mut map: Map) -> Result<Variable, String> {
        let variable = self.reference(name)?;
        map.join(self);
        let entry = &mut self.names[variable.0 as usize];
        if builtin::find(&entry.name).is_some() {
            return Err(duplicate(&entry.name));
        }
        // A second map, or a map after a `set`, takes the name over, as in nginx.
        entry.defined = Some(Source::Map { map: self.maps.len(), slot: self.slots });
        self.slots += 1;
        self.maps.push(map);
        Ok(variable)
    }

    /// Compiles a regular expression; its named groups become variables.
    pub fn regex(&mut self, source: &[u8], caseless: bool) -> Result<Regex, String> {
        let mut regex = Regex::new(source, caseless, self.regexes)?;
        let names: Vec<_> =
            regex.group_names().map(|(group, name)| (group, name.as_bytes().to_vec())).collect();
        let named = names.into_iter().map(|(group, name)| Ok((group, self.capture(&name)?)));
        regex.named = named.collect::<Result<_, String>>()?;
        self.regexes += 1;
        Ok(regex)
    }

    /// A number for a matcher that is made of others.
    pub(super) fn number_of_regex(&mut self) -> usize {
        self.regexes += 1;
        self.regexes - 1
    }

    /// The number of a root, for locations.
    pub fn root(&mut self, root: Root) -> usize {
        self.roots.push(root);
        self.roots.len() - 1
    }

    /// Resolves every name; all the unknown ones at once.
    pub fn finish(self) -> Result<Variables, Vec<Unknown>> {
        let mut unknown = Vec::new();
        let mut unset = Vec::new();
        let mut sources = Vec::with_capacity(self.names.len());
        for Entry { name, place, defined } in self.names {
            let builtin = || builtin::find(&name).map(Source::Builtin);
            match defined.or_else(builtin).or_else(|| prefixed(&name)) {
                Some(source) => {
                    if matches!(source, Source::Builtin(_) | Source::Prefixed(..))
                        && let Some(why) = builtin::unset(&name)
                    {
                        unset.push((name, why));
                    }
                    sources.push(source);
                }
                None => {
                    let words = format!("unknown \"{}\" variable", name.escape_ascii());
                    unknown.push(Unknown { place, words });
                }
            }
        }
        if !unknown.is_empty() {
            return Err(unknown);
        }
        static GENERATIONS: AtomicU64 = AtomicU64::new(1);
        Ok(Variables {
            generation: GENERATIONS.fetch_add(1, Ordering::Relaxed),
            reads: Reads::of(&sources),
            unset,
            sources: sources.into(),
            maps: self.maps.into(),
            roots: self.roots.into(),
            slots: self.slots,
        })
    }
}

impl Variables {
    pub(super) fn source(&self, variable: Variable) -> Option<&Source> {
        self.sources.get(variable.0 as usize)
    }

    /// The slot that a variable keeps its value in.
    pub(super) fn slot(&self, variable: Variable) -> Option<usize> {
        match self.source(variable)? {
            Source::Slot(slot) | Source::Captured(slot) | Source::Map { slot, .. } => Some(*slot),
            Source::Builtin(_) | Source::Prefixed(..) => None,
        }
    }
}

impl Reads {
    fn of(sources: &[Source]) -> Self {
        let mut reads = Self::default();
        for source in sources {
            match source {
                Source::Builtin(builtin) => match builtin {
                    Builtin::ServerAddr => reads.server_addr = true,
                    Builtin::Pid => reads.pid = true,
                    Builtin::RequestId => reads.request_id = true,
                    Builtin::RequestBody => reads.request_body = true,
                    Builtin::RequestTime => reads.request_time = true,
                    Builtin::UpstreamAddr
                    | Builtin::UpstreamBytesReceived
                    | Builtin::UpstreamBytesSent
                    | Builtin::UpstreamConnectTime
                    | Builtin::UpstreamHeaderTime
                    | Builtin::UpstreamResponseLength
                    | Builtin::UpstreamResponseTime
                    | Builtin::UpstreamStatus => reads.tries = true,
                    _ => {}
                },
                Source::Prefixed(prefix, _) => match prefix {
                    Prefix::SentHttp | Prefix::UpstreamHttp | Prefix::UpstreamCookie => {
                        reads.answer_fields = true;
                    }
                    Prefix::SentTrailer => reads.sent_trailers = true,
                    Prefix::UpstreamTrailer | Prefix::Http | Prefix::Cookie | Prefix::Arg => {}
                },
                Source::Slot(_) | Source::Captured(_) | Source::Map { .. } => {}
            }
        }
        reads
    }
}

fn duplicate(name: &[u8]) -> String {
    format!("the duplicate \"{}\" variable", name.escape_ascii())
}

/// The family of a name; of two that fit, the longer.
fn prefixed(name: &[u8]) -> Option<Source> {
    let fits = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix.as_bytes()));
    fits.map(|(prefix, family)| Source::Prefixed(*family, VariableName::new(&name[prefix.len()..])))
}

const PREFIXES: &[(&str, Prefix)] = &[
    ("upstream_trailer_", Prefix::UpstreamTrailer),
    ("upstream_cookie_", Prefix::UpstreamCookie),
    ("upstream_http_", Prefix::UpstreamHttp),
    ("sent_trailer_", Prefix::SentTrailer),
    ("sent_http_", Prefix::SentHttp),
    ("cookie_", Prefix::Cookie),
    ("http_", Prefix::Http),
    ("arg_", Prefix::Arg),
];
