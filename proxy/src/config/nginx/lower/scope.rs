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

    /// True when a location around the place, or an `if` in one, has any of these.
    pub(super) fn has_below_server(&self, names: &[&str]) -> bool {
        let has = |block: &&[Directive]| names.iter().any(|name| all(block, name).next().is_some());
        self.levels.iter().skip(2).any(has)
    }

    /// As [`Scope::lines`], where a directive of the second name says what becomes of the lines of
    /// the levels around: `on`, they are replaced; `merge`, they are kept too; `off`, they are gone.
    pub(super) fn lines_by(&self, name: &str, inherit: &str) -> Vec<&'t Directive> {
        let mut lines: Vec<&'t Directive> = Vec::new();
        let mut how = &b"on"[..];
        for block in &self.levels {
            how = all(block, inherit).last().map_or(how, |line| line.arg(0));
            let own: Vec<_> = all(block, name).collect();
            match how {
                b"merge" => lines.extend(own),
                b"off" => lines = own,
                _ if own.is_empty() => {}
                _ => lines = own,
            }
        }
        lines
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
