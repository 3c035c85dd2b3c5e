//! Running a script: what the rewrite directives of a location do to a request.

use super::condition::{Condition, FileTest};
use super::escape;
use super::evaluate::Context;
use super::phases::{Decision, Phase, Probe, Run};
use super::script::{Rewrite, Step};
use super::template::Template;

impl Run<'_, '_> {
    /// Runs the script of the location in force; `None` to go on.
    pub(super) fn run_script(&mut self) -> Option<Phase> {
        let server = self.server;
        let steps = &*server.settings[self.location].script.steps;
        // As in nginx, captures are escaped until a rewrite has taken place.
        let mut escapes = true;
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            match step {
                Step::Break => {
                    let state = &mut *self.context.state;
                    if state.uri_changed {
                        state.uri_changed = false;
                        state.valid_location = false;
                    }
                    return None;
                }
                Step::Set(variable, value) => {
                    let mut text = self.context.state.lend();
                    self.context.append_parts(value, escapes, &mut text);
                    self.context.set(*variable, &text);
                    self.context.state.take_back(text);
                }
                Step::If { condition, location, end } => {
                    if !self.holds(condition, escapes) {
                        at = *end;
                    } else if let Some(location) = location {
                        self.enter(*location);
                    }
                }
                Step::Return(answer) => {
                    return Some(self.answer(answer.status, answer.text.as_ref()));
                }
                Step::Rewrite(rewrite) => {
                    let Context { variables, state, .. } = &mut self.context;
                    if !state.with_uri(|uri, state| state.exec(&rewrite.regex, uri, variables)) {
                        state.captures.clear();
                        continue;
                    }
                    escapes = false;
                    if let Some(phase) = self.rewrite(rewrite) {
                        return Some(phase);
                    }
                    if rewrite.is_last {
                        return None;
                    }
                }
            }
        }
        None
    }

    fn answer(&mut self, status: u16, text: Option<&Template>) -> Phase {
        let state = &mut *self.context.state;
        let text = text.filter(|text| !text.is_empty());
        if status >= 400 && text.is_none() {
            return self.error(status);
        }
        let mut output = std::mem::take(&mut state.output);
        output.clear();
        if let Some(text) = text {
            // $status in the text is that of the answer.
            let overriding = self.context.state.status_override;
            let own = if overriding > 0 { overriding } else { status };
            self.context.state.status_override = own;
            self.context.append(text, &mut output);
            self.context.state.status_override = overriding;
        }
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            self.context.state.output = output;
            let state = &self.context.state;
            let status = if state.status_override > 0 { state.status_override } else { status };
            return Phase::Done(Decision::Text { status, location: self.location });
        }
        let state = &mut *self.context.state;
        // A line end from the URI must not end the field.
        state.output.clear();
        escape::append_mostly_plain(&output, escape::CONTROL, &mut state.output);
        state.take_back(output);
        self.answer_redirect(status)
    }

    /// The new URI, or the redirect to it.
    fn rewrite(&mut self, rewrite: &Rewrite) -> Option<Phase> {
        let context = &mut self.context;
        context.state.internal = true;
        context.state.valid_unparsed_uri = false;
        if rewrite.breaks {
            context.state.valid_location = false;
        }
        context.state.uri_changed = !rewrite.breaks;
        let mut uri = context.state.lend();
        context.append_parts(&rewrite.replacement, rewrite.redirect.is_some(), &mut uri);
        if let Some(status) = rewrite.redirect {
            escape::unescape_redirect(&mut uri);
            let state = &mut *context.state;
            if rewrite.adds_args && !state.args.is_empty() {
                uri.push(if rewrite.has_args { b'&' } else { b'?' });
                uri.extend_from_slice(&state.args);
            }
            state.output.clear();
            escape::append_mostly_plain(&uri, escape::CONTROL, &mut state.output);
            state.take_back(uri);
            return Some(self.answer_redirect(status));
        }
        if let Some(template) = &rewrite.args {
            let mut args = context.state.lend();
            context.append_parts(template, true, &mut args);
            let state = &mut *context.state;
            if rewrite.adds_args && !state.args.is_empty() {
                args.push(b'&');
                args.extend_from_slice(&state.args);
            }
            std::mem::swap(&mut state.args, &mut args);
            state.take_back(args);
        } else if !rewrite.adds_args {
            context.state.args.clear();
        }
        let state = &mut *context.state;
        std::mem::swap(&mut state.uri, &mut uri);
        state.take_back(uri);
        if state.uri.is_empty() {
            return Some(self.error(500));
        }
        None
    }

    fn holds(&mut self, condition: &Condition, escapes: bool) -> bool {
        let context = &mut self.context;
        let mut value = context.state.lend();
        let holds = match condition {
            Condition::True(variable) => {
                context.variable(*variable, &mut value);
                !matches!(&*value, b"" | b"0")
            }
            Condition::Equal { variable, value: other, negated } => {
                context.variable(*variable, &mut value);
                let mut wanted = context.state.lend();
                context.append_parts(other, escapes, &mut wanted);
                let equal = value == wanted;
                context.state.take_back(wanted);
                equal != *negated
            }
            Condition::Matches { variable, regex, negated } => {
                context.variable(*variable, &mut value);
                let matched = context.state.exec(regex, &value, context.variables);
                if !matched {
                    context.state.captures.clear();
                }
                matched != *negated
            }
            Condition::File { path, test, negated } => {
                context.append_parts(path, escapes, &mut value);
                let found = match ((self.probe)(&value), test) {
                    (Probe::Nothing, _) => false,
                    (_, FileTest::Exists) => true,
                    (found, FileTest::Plain) => matches!(found, Probe::File { .. }),
                    (found, FileTest::Directory) => matches!(found, Probe::Directory { .. }),
                    (
                        Probe::File { is_executable } | Probe::Directory { is_executable },
                        FileTest::Executable,
                    ) => is_executable,
                    (Probe::Other, FileTest::Executable) => false,
                };
                found != *negated
            }
        };
        self.context.state.take_back(value);
        holds
    }
}
