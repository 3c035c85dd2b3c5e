//! `map $source $variable { ... }`.

use super::names::Wildcards;
use super::regexes::Regexes;
use super::state::State;
use super::template::Template;
use super::variable::{Registry, Variables};
use crate::lookup::Lookup;

/// A compiled map. Made by [`Map::new`], then [`Map::entry`] for each line of the block.
#[derive(Debug)]
pub struct Map {
    pub(super) source: Template,
    hostnames: bool,
    pub(super) is_volatile: bool,
    /// Keys in lower case.
    exact: Lookup<Box<[u8]>, usize>,
    /// Length of the longest of them: longer values need not be looked up.
    longest: usize,
    wildcards: Wildcards,
    regexes: Regexes<usize>,
    values: Vec<Template>,
    default: Option<usize>,
}

impl Map {
    /// `source` is the first argument of the directive.
    pub fn new(source: &[u8], registry: &mut Registry) -> Result<Self, String> {
        Ok(Self {
            source: Template::compile(source, registry)?,
            hostnames: false,
            is_volatile: false,
            exact: Lookup::default(),
            longest: 0,
            wildcards: Wildcards::default(),
            regexes: Regexes::default(),
            values: Vec::new(),
            default: None,
        })
    }

    /// One line of the block.
    pub fn entry(&mut self, words: &[&[u8]], registry: &mut Registry) -> Result<(), String> {
        let (key, value) = match words {
            [b"hostnames"] => {
                self.hostnames = true;
                return Ok(());
            }
            [b"volatile"] => {
                self.is_volatile = true;
                return Ok(());
            }
            [key, value] => (*key, *value),
            _ => return Err("invalid number of the map parameters".into()),
        };
        let number = self.values.len();
        self.values.push(Template::compile(value, registry)?);
        if key == b"default" {
            return match self.default.replace(number) {
                Some(_) => Err("duplicate default map parameter".into()),
                None => Ok(()),
            };
        }
        if let Some(pattern) = key.strip_prefix(b"~") {
            let (pattern, caseless) = match pattern.strip_prefix(b"*") {
                Some(pattern) => (pattern, true),
                None => (pattern, false),
            };
            self.regexes.push(registry.regex(pattern, caseless)?, number);
            return Ok(());
        }
        let conflict = || format!("conflicting parameter \"{}\"", key.escape_ascii());
        let key = key.strip_prefix(b"\\").unwrap_or(key);
        self.longest = self.longest.max(key.len());
        let is_new = if self.hostnames {
            let invalid = || {
                let key = key.escape_ascii();
                format!("invalid hostname or wildcard \"{key}\"")
            };
            self.wildcards.insert(&mut self.exact, key, number).ok_or_else(invalid)?
        } else {
            self.exact.insert(key.to_ascii_lowercase().into(), number).is_none()
        };
        if is_new { Ok(()) } else { Err(conflict()) }
    }

    /// To be called behind the last line.
    pub(super) fn join(&mut self, registry: &mut Registry) {
        self.regexes.join(registry);
    }

    /// The number of what `value` leads to.
    pub(super) fn find(
        &self,
        value: &[u8],
        state: &mut State,
        variables: &Variables,
    ) -> Option<usize> {
        // Names of hosts may end in a dot.
        let key = if self.hostnames { value.strip_suffix(b".").unwrap_or(value) } else { value };
        let may_be_key = self.hostnames || key.len() <= self.longest;
        let number = if !may_be_key {
            None
        } else if key.iter().any(u8::is_ascii_uppercase) {
            let mut small = state.lend();
            small.extend_from_slice(key);
            small.make_ascii_lowercase();
            let number = self.find_key(&small);
            state.take_back(small);
            number
        } else {
            self.find_key(key)
        };
        // As in nginx, expressions say nothing of an empty value, `~^$` neither.
        if number.is_some() || key.is_empty() {
            return number.or(self.default);
        }
        self.regexes.find(key, state, variables).copied().or(self.default)
    }

    /// `key` is in lower case.
    fn find_key(&self, key: &[u8]) -> Option<usize> {
        let exact = self.exact.get(key).copied();
        exact.or_else(|| self.hostnames.then(|| self.wildcards.find(key)).flatten())
    }

    /// What stands behind the key of that number.
    pub(super) fn value(&self, number: usize) -> &Template {
        &self.values[number]
    }
}
