//! `allow` and `deny`: who may have a location's content.

use std::sync::Arc;

use super::Lower;
use super::scope::Scope;
use crate::route::access::{Access, Rule, Whom};

impl<'t> Lower<'t> {
    /// The rules in force at a level, which has all of its own or all of those around it.
    pub(super) fn access(&mut self, scope: &Scope<'t>) -> Option<Arc<Access>> {
        let lines = scope.lines(&["allow", "deny"]);
        let place = std::ptr::from_ref(*lines.first()?);
        if let Some((_, known)) = self.access.iter().find(|(line, _)| *line == place) {
            return Some(known.clone());
        }
        let mut rules = Vec::new();
        for line in lines {
            let Some(whom) = self.check(line, Whom::parse(&line.text(0))) else { continue };
            if whom.has_low_bits() {
                self.note(line, format!("low address bits of {} are meaningless", line.text(0)));
            }
            rules.push(Rule { allows: line.is("allow"), whom });
        }
        let access = Arc::new(Access { rules: rules.into() });
        self.access.push((place, access.clone()));
        Some(access)
    }
}
