//! Inheritance: a directive is in force from the innermost level that has it, with all its lines.

use super::super::tree::{Directive, all};
use super::super::values;
use std::time::Duration;

/// The blocks around a place, the outermost first.
#[derive(Debug, Clone)]
pub(super) struct Scope<'t> {
    levels: Vec<&'t [Directive]>,
}

impl<'t> Scope<'t> {
    pub(super) fn new(outermost: &'t [Directive]) -> Self {
        Self { levels: vec![outermost] }
    }

    pub(super) fn within(&self, block: &'t [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(block);
        Self { levels }
    }

    /// The lines of the innermost level that has any of these names.
    pub(super) fn lines(&self, names: &[&str]) -> Vec<&'t Directive> {
        let own = |block: &&'t [Directive]| -> Vec<&'t Directive> {
            block.iter().filter(|line| names.iter().any(|name| line.is(name))).collect()
        };
        self.levels.iter().rev().map(own).find(|lines| !lines.is_empty()).unwrap_or_default()
    }

    /// The one line in force.
    pub(super) fn line(&self, name: &str) -> Option<&'t Directive> {
        self.levels.iter().rev().find_map(|block| all(block, name).last())
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.line(name).map_or(default, Directive::is_on)
    }

    pub(super) fn time(&self, name: &str) -> Option<Duration> {
        self.line(name).and_then(|line| values::milliseconds(line.arg(0)))
    }
}
