//! Directives that serving goes on without in this release: named in a note, never dropped in
//! silence.

use super::super::tree::Directive;
use super::Lower;

impl<'t> Lower<'t> {
    /// One note for each of the directives that this release serves without.
    pub(super) fn note_unserved(&mut self, tree: &'t [Directive]) {
        for (name, what) in UNSERVED {
            if let Some(directive) = first(tree, name) {
                self.note(directive, format!("\"{name}\": {what}"));
            }
        }
    }
}

/// The first directive of this name, in any block.
fn first<'t>(block: &'t [Directive], name: &str) -> Option<&'t Directive> {
    block.iter().find_map(|directive| match directive.is(name) {
        true => Some(directive),
        false => first(directive.block(), name),
    })
}

/// What is missing when they stand in a file.
const UNSERVED: &[(&str, &str)] = &[
    ("root", "files are not served yet: a request for one is answered with 404"),
    ("alias", "files are not served yet: a request for one is answered with 404"),
    ("try_files", "files are not served yet, so none of them is found: the last word counts"),
];
