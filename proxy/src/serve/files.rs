//! Files as a location's content: from a location to an open file or another decision, and the head
//! of the answer.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use super::ongoing::{Ongoing, Seen};
use super::plan::Deed;
use crate::config::Level;
use crate::files::date;
use crate::files::{self, Answer, Asked, Found};
use crate::h1::kept::KeptHead;
use crate::h1::rewrite;
use crate::respond;
use crate::route::added::{self, Added};
use crate::route::phases::{Decision, Run};

/// A line for the error log.
pub type Complaint = (Level, String);

/// Whose files are looked at.
pub(super) struct Wanted<'a> {
    pub(super) content: &'a files::Content,
    pub(super) location: usize,
    /// `add_header`, `expires`.
    pub(super) added: &'a Added,
    /// The type that an app has given; empty for that of the file.
    pub(super) media: &'a [u8],
}

/// What looking for a file has come to.
pub(super) enum Sought {
    Answer(Answer),
    Other(Decision),
}

/// Looks for the file of the state's URI. `range` becomes the lines that an answer of status 416 is
/// to have.
pub(super) fn seek(
    run: &mut Run<'_, '_>,
    wanted: &Wanted<'_>,
    range: &mut Vec<u8>,
    complain: &mut dyn FnMut(Level, String),
) -> Sought {
    let Wanted { content, location, added, media } = *wanted;
    let mut path = Vec::new();
    let Some(root) = run.context.append_file(&mut path) else {
        let words = "\"alias\" cannot be used in location where URI was rewritten";
        complain(Level::Alert, words.to_owned());
        return Sought::Other(run.fail(500, location));
    };
    let mut names: Vec<Cow<'_, [u8]>> = Vec::new();
    if run.context.state.uri.ends_with(b"/") {
        for template in &content.index {
            names.push(match template.as_text() {
                Some(name) => Cow::Borrowed(name),
                None => {
                    let mut name = Vec::new();
                    run.context.append(template, &mut name);
                    Cow::Owned(name)
                }
            });
        }
    }
    if run.context.state.is_overflowed() {
        return Sought::Other(run.fail(500, location));
    }
    let index: Vec<&[u8]> = names.iter().map(|name| &**name).collect();
    let (state, facts) = (&run.context.state, run.context.facts);
    let asked = Asked {
        method: if state.method_is_get { b"GET" } else { facts.method },
        uri: &state.uri,
        args: &state.args,
        path: &path,
        root,
        index: &index,
        fields: facts.fields,
        status: state.status_override,
        media,
    };
    Sought::Other(match files::prepare(&content.settings, &asked) {
        Found::Answer(answer) => return Sought::Answer(answer),
        Found::Index(uri) => {
            let args = state.args.clone();
            run.redirect(&uri, &args)
        }
        Found::MissingSlash(to) => run.redirect_client(location, &to),
        Found::NotSatisfiable(line) => {
            // As nginx has it: these were added before the range was looked at.
            added.append(Some(200), &mut run.context, range);
            added::drop_validators(range);
            range.extend_from_slice(&line);
            run.fail(416, location)
        }
        Found::Trouble(trouble) => {
            if !trouble.words.is_empty() && (content.logs_not_found || trouble.status != 404) {
                let level = if trouble.status == 500 { Level::Crit } else { Level::Error };
                complain(level, trouble.words);
            }
            run.fail(trouble.status, location)
        }
    })
}

/// The head of an answer from a file, in nginx's order, with what the location adds.
pub(super) fn finish(answer: Answer, range: &[u8], ongoing: &mut Ongoing) -> Deed {
    let status = answer.status;
    let lines = answer.lines();
    let mut head = Vec::with_capacity(512);
    rewrite::status_line(&mut head, status, respond::reason(status));
    respond::server(ongoing.in_force().server, &mut head);
    head.extend_from_slice(b"Date: ");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    date::append(i64::try_from(now.as_secs()).unwrap_or_default(), &mut head);
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(lines.content);
    let connection = respond::connection(ongoing.rest().keeps, ongoing.terms.version);
    head.extend_from_slice(connection);
    if ongoing.rest().keeps {
        ongoing.in_force().keeping.announce(&mut head);
    }
    head.append(&mut ongoing.challenge);
    head.extend_from_slice(ongoing.handed_fields());
    head.extend_from_slice(lines.etag);
    if status == 416 {
        head.extend_from_slice(range);
    }
    let keeps = ongoing.http.variables.reads.answer_fields;
    if keeps {
        // What is added may name what is there without it.
        let own = [&b"HTTP/1.1 200 OK\r\n"[..], lines.content, lines.etag, lines.ranges, b"\r\n"];
        ongoing.kept.sent = KeptHead::of_answer(own.concat());
    }
    let at = ongoing.location;
    // As nginx has it: these were added before the range was looked at.
    let seen = Seen { status: if status == 206 { 200 } else { status }, ..Seen::default() };
    ongoing.with(&seen, |mut context, host, _| {
        host.locations[at].added.append(Some(status), &mut context, &mut head);
    });
    head.extend_from_slice(lines.ranges);
    head.extend_from_slice(b"\r\n");
    ongoing.in_force().files.settings.complete(status, &mut head);
    if keeps {
        ongoing.kept.sent = KeptHead::of_answer(head.clone());
    }
    Deed::File { status, head, body: answer.body }
}
