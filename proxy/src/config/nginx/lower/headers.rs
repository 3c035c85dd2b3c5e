//! `add_header`, `add_trailer` and `expires`: what answers carry beyond what the app says.

use super::Lower;
use super::scope::Scope;
use crate::route::added::Added;
use crate::route::expires::Expires;

impl<'t> Lower<'t> {
    pub(super) fn added(&mut self, scope: &Scope<'t>) -> Added {
        let mut added = Added::default();
        let lines = scope.lines_by("add_header", "add_header_inherit");
        self.each(&lines, |words, registry| added.fields.add(words, registry));
        let lines = scope.lines_by("add_trailer", "add_trailer_inherit");
        self.each(&lines, |words, registry| added.trailers.add(words, registry));
        if let (Some(own), Some(passed)) = (lines.first(), scope.line("proxy_pass_trailers"))
            && passed.is_on()
        {
            let what = "\"add_trailer\" and \"proxy_pass_trailers on\" in one place are not \
                        supported: the trailers would be ours or the app's";
            self.problem(own, what);
        }
        if let Some(line) = scope.line("expires") {
            self.at(line);
            let expires = Expires::parse(&line.slices(), &mut self.registry);
            added.expires = self.check(line, expires).flatten();
        }
        added
    }
}
