//! The app's answer as the client gets it: hidden fields, redirects and cookies rewritten,
//! `add_header`.

use super::ongoing::{Ongoing, Seen};
use super::request::announced;
use crate::h1::head::{AnswerHead, Table, lenient_answer};
use crate::h1::rewrite::{self, Outgoing};
use crate::respond;
use crate::route::evaluate::Context;
use crate::route::facts::{Answer, Facts};
use crate::route::http::{Content, Location};

impl Ongoing {
    /// True when an answer of that status is replaced by an error page.
    pub fn intercepts(&self, status: u16) -> bool {
        let Content::Proxy(proxy) = &self.in_force().content else { return false };
        status >= 300 && proxy.intercepts && self.has_page(status)
    }

    /// Writes the head of the upstream's answer, which came as `raw`; the status it has now.
    pub fn write_answer(
        &mut self,
        out: &mut Vec<u8>,
        head: &AnswerHead<'_, '_>,
        raw: &[u8],
        outgoing: &Outgoing<'_>,
    ) -> u16 {
        let overriding = self.state.status_override;
        let status = if overriding > 0 && head.status >= 200 { overriding } else { head.status };
        let reason = if status == head.status { head.reason } else { respond::reason(status) };
        rewrite::status_line(out, status, reason);
        let at = self.location;
        let keeps = self.http.variables.reads.answer_fields;
        self.keep_upstream(raw);
        self.kept.sent.clear();
        let body_received = announced(self.length);
        let seen = Seen { status, body_received, ..Seen::default() };
        self.with(&seen, |mut context, host, _| {
            let location = &host.locations[at];
            let Content::Proxy(proxy) = &location.content else { return };
            if proxy.hides(b"server") {
                out.extend_from_slice(b"Server: sheen\r\n");
            }
            for (name, header) in head.fields.iter() {
                let field = header.name.as_bytes();
                if !rewrite::goes_to_client(&head.fields, name, header, outgoing)
                    || proxy.hides(field)
                {
                    continue;
                }
                let start = out.len();
                out.extend_from_slice(field);
                out.extend_from_slice(b": ");
                let value = header.value;
                let rewritten = match () {
                    _ if field.eq_ignore_ascii_case(b"location") => {
                        proxy.redirects.rewrite_location(value, &mut context, out)
                    }
                    _ if field.eq_ignore_ascii_case(b"refresh") => {
                        proxy.redirects.rewrite_refresh(value, &mut context, out)
                    }
                    _ if field.eq_ignore_ascii_case(b"set-cookie") && !proxy.cookies.is_empty() => {
                        proxy.cookies.rewrite(value, &mut context, out)
                    }
                    _ => false,
                };
                if !rewritten {
                    out.truncate(start + field.len() + 2);
                    out.extend_from_slice(value);
                }
                out.extend_from_slice(b"\r\n");
            }
            location.append_added(status, keeps.then_some(outgoing), &mut context, out);
        });
        rewrite::end_answer(out, outgoing);
        if keeps {
            self.kept.sent = out.clone();
        }
        status
    }
}

impl Location {
    /// Appends what `add_header` says to a head that has everything else but its end, which is
    /// `readable` where somebody reads fields of the answer.
    fn append_added(
        &self,
        status: u16,
        readable: Option<&Outgoing<'_>>,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some(end) = readable.filter(|_| !self.added.is_empty()) else {
            return self.added.append(Some(status), context, out);
        };
        let mut so_far = out.clone();
        rewrite::end_answer(&mut so_far, end);
        let mut table = Table::default();
        let fields = lenient_answer(&so_far, &mut table);
        let answer = Answer { fields, ..context.facts.answer };
        let facts = Facts { answer, ..*context.facts };
        let mut context =
            Context { variables: context.variables, facts: &facts, state: &mut *context.state };
        self.added.append(Some(status), &mut context, out);
    }
}
