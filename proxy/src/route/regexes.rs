//! Expressions that are tried in their order: locations, maps, server names. Most texts match none of
//! them, which one search over all at once tells.

use regex_automata::meta::Regex as Meta;

use super::beginning::{Mark, first_eight};
use super::regex::{self, Regex};
use super::state::State;
use super::variable::{Registry, Variables};

/// Expressions and what each leads to.
#[derive(Debug)]
pub(super) struct Regexes<T> {
    list: Vec<(Regex, T)>,
    /// Of each what rules it out.
    marks: Vec<Mark>,
    /// Of all that have to be searched for. `None` for too few to gain by it, or too many to be one.
    any: Option<Any>,
}

/// Several expressions as one, without their captures.
#[derive(Debug)]
struct Any {
    matcher: Meta,
    number: usize,
}

impl<T> Default for Regexes<T> {
    fn default() -> Self {
        Self { list: Vec::new(), marks: Vec::new(), any: None }
    }
}

impl<T> Regexes<T> {
    /// One more, tried last.
    pub(super) fn push(&mut self, regex: Regex, leads_to: T) {
        self.marks.push(regex.mark());
        self.list.push((regex, leads_to));
    }

    /// To be called when all are there: without it, each is tried for itself.
    pub(super) fn join(&mut self, registry: &mut Registry) {
        let searched = self.list.iter().map(|(regex, _)| regex).filter(|regex| regex.is_searched());
        let searched: Vec<_> = searched.collect();
        if searched.len() > 1 {
            let matcher = regex::any_of(&searched);
            self.any = matcher.map(|matcher| Any { matcher, number: registry.number_of_regex() });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What the first that matches leads to; its captures are set.
    pub(super) fn find(&self, text: &[u8], state: &mut State, variables: &Variables) -> Option<&T> {
        let (first, mut any) = (first_eight(text), None);
        let may_match =
            self.marks.iter().enumerate().filter(|(_, mark)| !mark.rules_out(first, text.len()));
        let mut candidates = may_match.map(|(number, _)| &self.list[number]);
        let found = candidates.find(|(regex, _)| {
            if let Some(all) = self.any.as_ref().filter(|_| regex.is_searched()) {
                let any_matches = *any.get_or_insert_with(|| {
                    regex::is_match(&all.matcher, all.number, text, variables.generation)
                });
                if !any_matches {
                    return false;
                }
            }
            state.exec(regex, text, variables)
        });
        found.map(|(_, leads_to)| leads_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_matches_counts_joined_or_not() {
        for join in [false, true] {
            let mut registry = Registry::default();
            let mut regexes = Regexes::default();
            for (number, pattern) in
                ["^/a/", "\\.png$", "(?<name>[0-9]+)\\.", "gif", "^/a/(.*)x$"].iter().enumerate()
            {
                regexes.push(registry.regex(pattern.as_bytes(), false).unwrap(), number);
            }
            if join {
                regexes.join(&mut registry);
            }
            assert_eq!(regexes.any.is_some(), join);
            let variables = registry.finish().unwrap();
            let mut state = State::default();
            for (text, expected) in [
                ("/a/1.png", Some(0)),
                ("/b/1.png", Some(1)),
                ("/b/1.gif", Some(2)),
                ("/b/x.gif", Some(3)),
                ("/b/x.js", None),
                ("", None),
                ("/a", None),
            ] {
                state.begin(&variables);
                let found = regexes.find(text.as_bytes(), &mut state, &variables);
                assert_eq!(found.copied(), expected, "{text}");
                let captured = state.captures.get(1);
                assert_eq!(captured, if expected == Some(2) { &b"1"[..] } else { b"" }, "{text}");
            }
        }
    }
}
