//! What we answer ourselves: `return`, redirects, errors without a page of their own.

use std::net::SocketAddr;

use super::ongoing::{Ongoing, Seen};
use super::plan::Deed;
use crate::log;
use crate::respond;
use crate::route::evaluate::Context;
use crate::route::http::{Host, OwnRedirects};
use crate::route::phases::Decision;

/// Who answers.
pub(super) struct Author<'a> {
    pub(super) host: &'a Host,
    pub(super) local: SocketAddr,
    pub(super) tls: bool,
}

/// An answer but for the fields of its location.
pub(super) struct Reply {
    status: u16,
    /// A whole line, or empty.
    location: Vec<u8>,
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
            Decision::Content(location) | Decision::Close { location, .. } => (location, None),
            Decision::Status { status, location } => {
                let overriding = context.state.status_override;
                let status = if overriding > 0 { overriding } else { status };
                (location, Some(Reply { status, location: Vec::new(), text: None }))
            }
            Decision::Text { status, location } => {
                let text = Some(output.clone());
                (location, Some(Reply { status, location: Vec::new(), text }))
            }
            Decision::Redirect { status, location } => {
                let mut line = b"Location: ".to_vec();
                if output.starts_with(b"/") {
                    self.append_base(self.host.locations[location].redirects, context, &mut line);
                }
                line.extend_from_slice(&context.state.output);
                line.extend_from_slice(b"\r\n");
                (location, Some(Reply { status, location: line, text: None }))
            }
        }
    }

    /// Appends scheme, host and port in front of a path, as the directives have it.
    fn append_base(&self, how: OwnRedirects, context: &Context<'_>, out: &mut Vec<u8>) {
        if !how.absolute {
            return;
        }
        out.extend_from_slice(if self.tls { b"https://" } else { b"http://" });
        let asked = context.facts.host;
        let named = how.with_server_name || asked.is_empty();
        match (named, &*self.host.name) {
            (true, name) if !name.is_empty() => out.extend_from_slice(name),
            _ if asked.is_empty() => {
                out.extend_from_slice(self.local.ip().to_canonical().to_string().as_bytes());
            }
            _ => out.extend_from_slice(asked),
        }
        let port = self.local.port();
        if how.with_port && port != if self.tls { 443 } else { 80 } {
            out.push(b':');
            out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
    }
}

impl Reply {
    /// Head and body, with what the location adds.
    pub(super) fn finish(self, ongoing: &mut Ongoing) -> Deed {
        let mut fields = self.location;
        let offset_s = log::local_offset_s();
        let seen = Seen { status: self.status, offset_s, ..Seen::default() };
        let at = ongoing.location;
        ongoing.with(&seen, |mut context, host, _| {
            let location = &host.locations[at];
            location.added.append(Some(self.status), &mut context, &mut fields);
        });
        let keep_alive = ongoing.terms.keep_alive && !ongoing.terms.has_body;
        let location = ongoing.in_force();
        if keep_alive {
            location.keeping.announce(&mut fields);
        }
        let answer = respond::Answer {
            status: self.status,
            server: location.server,
            fields: &fields,
            hsts: b"",
            keep_alive,
            to_head: ongoing.terms.to_head,
        };
        let mut bytes = Vec::new();
        let body = match &self.text {
            Some(text) => {
                let kind = &ongoing.in_force().default_type;
                respond::write_text(&mut bytes, &answer, kind, text)
            }
            None => respond::write(&mut bytes, &answer),
        };
        Deed::Reply { status: self.status, bytes, body }
    }
}
