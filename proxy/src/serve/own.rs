//! What we answer ourselves: `return`, redirects, errors without a page of their own.

use super::ongoing::{Ongoing, Seen};
use super::plan::Deed;
use crate::config::ListenAddress;
use crate::h1::kept::KeptHead;
use crate::respond;
use crate::route::evaluate::Context;
use crate::route::http::{Host, OwnRedirects};
use crate::route::phases::Decision;

/// Who answers.
pub(super) struct Author<'a> {
    pub(super) host: &'a Host,
    pub(super) local: &'a ListenAddress,
    pub(super) tls: bool,
    /// The lines of an answer of status 416, those of `add_header` among them.
    pub(super) range: &'a [u8],
}

/// An answer but for the fields of its location.
pub(super) struct Reply {
    status: u16,
    /// Whole lines.
    fields: Vec<u8>,
    /// Those of `add_header` are among them.
    is_added: bool,
    /// `None`: the page of the status.
    text: Option<Vec<u8>>,
}

impl Author<'_> {
    /// The location of a decision, and the answer; `None` to close the connection.
    pub(super) fn answer(
        &self,
        decision: Decision,
        context: &mut Context<'_>,
    ) -> (usize, Option<Reply>) {
        let output = &context.state.output;
        match decision {
            Decision::Content(location)
            | Decision::Client(location)
            | Decision::Close { location, .. } => (location, None),
            Decision::Status { status, location } => {
                let overriding = context.state.status_override;
                let status = if overriding > 0 { overriding } else { status };
                let fields = if status == 416 { self.range.to_vec() } else { Vec::new() };
                let is_added = !fields.is_empty();
                (location, Some(Reply { status, fields, is_added, text: None }))
            }
            Decision::Text { status, location } => {
                let text = Some(output.clone());
                (location, Some(Reply { status, fields: Vec::new(), is_added: false, text }))
            }
            Decision::Redirect { status, location } => {
                let mut line = b"Location: ".to_vec();
                if output.starts_with(b"/") {
                    self.append_base(self.host.locations[location].redirects, context, &mut line);
                }
                line.extend_from_slice(&context.state.output);
                line.extend_from_slice(b"\r\n");
                (location, Some(Reply { status, fields: line, is_added: false, text: None }))
            }
        }
    }

    /// Appends scheme, host and port in front of a path, as the directives have it.
    pub(super) fn append_base(&self, how: OwnRedirects, context: &Context<'_>, out: &mut Vec<u8>) {
        if !how.absolute {
            return;
        }
        out.extend_from_slice(if self.tls { b"https://" } else { b"http://" });
        let (asked, name) = (context.facts.host, &*self.host.name);
        if how.with_server_name && !name.is_empty() {
            out.extend_from_slice(name);
        } else if asked.is_empty() {
            out.extend_from_slice(self.local.host().as_bytes());
        } else {
            out.extend_from_slice(asked);
        }
        let port = self.local.port();
        if how.with_port && port != 0 && port != if self.tls { 443 } else { 80 } {
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
    }
}

impl Reply {
    /// The same, with whole field lines, unless it is a redirect or has a text of its own.
    pub(super) fn with_fields(mut self, fields: &[u8]) -> Self {
        if self.fields.is_empty() && self.text.is_none() {
            self.fields.extend_from_slice(fields);
        }
        self
    }

    /// Head and body, with what the location adds.
    pub(super) fn finish(self, ongoing: &mut Ongoing) -> Deed {
        let mut fields = self.fields.clone();
        fields.append(&mut ongoing.challenge);
        fields.extend_from_slice(ongoing.handed_fields());
        let keeps = ongoing.http.variables.reads.answer_fields;
        if keeps {
            // What is added may name what is there without it.
            let (bytes, body) = self.written(ongoing, &fields);
            ongoing.kept.sent = KeptHead::of_answer(bytes[..bytes.len() - body as usize].to_vec());
        }
        let seen = Seen { status: self.status, ..Seen::default() };
        let at = ongoing.location;
        let is_added = self.is_added;
        ongoing.with(&seen, |mut context, host, _| {
            if is_added {
                return;
            }
            host.locations[at].added.append(Some(self.status), &mut context, &mut fields);
        });
        if ongoing.rest().keeps {
            ongoing.in_force().keeping.announce(&mut fields);
        }
        let (mut bytes, body) = self.written(ongoing, &fields);
        ongoing.in_force().files.settings.complete(self.status, &mut bytes);
        if keeps {
            ongoing.kept.sent = KeptHead::of_answer(bytes[..bytes.len() - body as usize].to_vec());
        }
        Deed::Reply { status: self.status, bytes, body }
    }

    /// The answer with these fields, and how many of its bytes are body.
    fn written(&self, ongoing: &Ongoing, fields: &[u8]) -> (Vec<u8>, u64) {
        let answer = respond::Answer {
            status: self.status,
            server: ongoing.in_force().server,
            fields,
            hsts: b"",
            connection: respond::connection(ongoing.rest().keeps, ongoing.terms.version),
            to_head: ongoing.terms.to_head,
        };
        let mut bytes = Vec::new();
        let body = match &self.text {
            Some(text) => {
                let (given, uri) = (ongoing.handed_media(), &ongoing.state.uri);
                let kind = ongoing.in_force().files.settings.media(given, uri);
                respond::write_text(&mut bytes, &answer, kind, text)
            }
            None => respond::write(&mut bytes, &answer),
        };
        (bytes, body)
    }
}
