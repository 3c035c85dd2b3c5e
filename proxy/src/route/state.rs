//! What the engine writes while it serves a request; kept by a worker and used again.

use super::regex::{Captures, Regex};
use super::variable::Variables;

/// The changing half of a request. [`State::begin`] makes it ready for the next one without giving
/// memory back.
#[derive(Debug, Default)]
pub struct State {
    /// The tables that `slots` belong to.
    generation: u64,
    /// Decoded and normal, or what a rewrite made of it.
    pub uri: Vec<u8>,
    /// Without the `?`.
    pub args: Vec<u8>,
    /// Text of a `return`, a redirect's location.
    pub output: Vec<u8>,
    /// The method has become GET by an `error_page`.
    pub method_is_get: bool,
    /// Status that the answer gets whatever its own, by an `error_page`; 0 for none.
    pub status_override: u16,
    /// Status whose error page is shown; 0 for none.
    pub failed: u16,
    pub(super) quoted_uri: bool,
    pub(super) plus_in_uri: bool,
    /// An internal redirect or a rewrite has taken place.
    pub(super) internal: bool,
    /// The target goes to the upstream as the client wrote it.
    pub(super) valid_unparsed_uri: bool,
    /// The location's prefix stands in front of the URI.
    pub(super) valid_location: bool,
    /// `try_files` has found a file behind an `alias` that is a whole path otherwise.
    pub(super) uri_behind_alias: bool,
    pub(super) uri_changed: bool,
    /// Rewrites and internal redirects that are left.
    pub(super) uri_changes: u8,
    /// An `error_page` has been shown, and they do not recurse.
    pub(super) error_page: bool,
    /// Which root is in force, an index into those of the tables.
    pub(super) root: usize,
    /// Evaluations that are left to this request.
    pub(super) budget: u32,
    /// An error after which a connection does not go on.
    pub closes: bool,
    /// A value grew beyond its bound, or the budget is used up.
    pub(super) overflow: bool,
    pub(super) captures: Captures,
    pub(super) slots: Vec<Slot>,
    spare: Vec<Vec<u8>>,
}

/// A variable that keeps its value: user variables, captures, maps.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub value: Vec<u8>,
    pub kept: Kept,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    #[default]
    Unset,
    /// Being evaluated: whoever asks now asks in a circle.
    Evaluating,
    /// The bytes of the slot.
    Set,
    /// The text that the map of the variable has under this number.
    Entry(usize),
}

impl State {
    /// Ready for a request that these tables serve.
    pub fn begin(&mut self, variables: &Variables) {
        if self.generation != variables.generation {
            self.generation = variables.generation;
            self.slots.clear();
            self.slots.resize_with(variables.slots, Slot::default);
        }
        self.slots.iter_mut().for_each(|slot| slot.kept = Kept::Unset);
        self.uri.clear();
        self.args.clear();
        self.output.clear();
        self.method_is_get = false;
        self.status_override = 0;
        self.failed = 0;
        self.quoted_uri = false;
        self.plus_in_uri = false;
        self.internal = false;
        self.valid_unparsed_uri = true;
        self.valid_location = true;
        self.uri_behind_alias = false;
        self.uri_changed = false;
        self.uri_changes = URI_CHANGES_MAX + 1;
        self.error_page = false;
        self.root = 0;
        self.budget = EVALUATIONS_MAX;
        self.closes = false;
        self.overflow = false;
        self.captures.clear();
    }

    /// Gives back what can be made again.
    pub fn shrink(&mut self) {
        self.spare = Vec::new();
    }

    /// True when a value grew beyond its bound: the request cannot be served.
    pub fn is_overflowed(&self) -> bool {
        self.overflow
    }

    /// Whether `text` matches; sets `$1` to `$9` and named captures if it does.
    pub(super) fn exec(&mut self, regex: &Regex, text: &[u8], variables: &Variables) -> bool {
        if !regex.exec(text, &mut self.captures, variables.generation) {
            return false;
        }
        for (group, variable) in &regex.named {
            let Some(slot) = variables.slot(*variable) else { continue };
            let slot = &mut self.slots[slot];
            slot.value.clear();
            slot.value.extend_from_slice(self.captures.get(*group));
            slot.kept = Kept::Set;
        }
        true
    }

    /// Has something done with the URI, which the state is without meanwhile.
    pub(super) fn with_uri<T>(&mut self, act: impl FnOnce(&[u8], &mut Self) -> T) -> T {
        let uri = std::mem::take(&mut self.uri);
        let done = act(&uri, self);
        self.uri = uri;
        done
    }

    /// An empty vector that has been used before.
    pub(super) fn lend(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn take_back(&mut self, mut vector: Vec<u8>) {
        if self.spare.len() < SPARE_MAX && vector.capacity() <= VALUE_BYTES_MAX {
            vector.clear();
            self.spare.push(vector);
        }
    }
}

/// nginx's NGX_HTTP_MAX_URI_CHANGES.
const URI_CHANGES_MAX: u8 = 10;
/// Far more than any configuration needs; volatile maps that refer to each other could need more
/// than there is time for.
const EVALUATIONS_MAX: u32 = 100_000;
/// Bytes of one value.
pub(super) const VALUE_BYTES_MAX: usize = 1 << 20;
const SPARE_MAX: usize = 8;
