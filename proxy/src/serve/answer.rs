//! The app's answer as the client gets it: hidden fields, redirects and cookies rewritten,
//! `add_header`.

use super::ongoing::{Ongoing, Seen};
use super::own::Author;
use crate::files::date;
use crate::h1::head::AnswerHead;
use crate::h1::kept::KeptHead;
use crate::h1::name::Name;
use crate::h1::rewrite::{self, Outgoing};
use crate::respond;
use crate::route::added;
use crate::route::evaluate::Context;
use crate::route::expires::Freshness;
use crate::route::facts::{Answer, Facts};
use crate::route::http::{Content, Location, Proxy};

impl Ongoing {
    /// True when an answer is replaced by an error page.
    pub fn intercepts(&mut self, head: &AnswerHead<'_, '_>) -> bool {
        let Content::Proxy(proxy) = &self.in_force().content else { return false };
        let intercepts = head.status >= 300 && proxy.intercepts && self.has_page(head.status);
        if intercepts && head.status == 401 {
            // Without them a browser does not know what to ask its user for.
            for value in head.fields.all(Name::WwwAuthenticate) {
                self.challenge.extend_from_slice(b"WWW-Authenticate: ");
                self.challenge.extend_from_slice(value);
                self.challenge.extend_from_slice(b"\r\n");
            }
        }
        intercepts
    }

    /// The status that an app's answer goes on with: that of the error whose page it is.
    pub fn status_of(&self, status: u16) -> u16 {
        let overriding = self.state.status_override;
        if overriding > 0 && status >= 200 { overriding } else { status }
    }

    /// True when trailers of ours follow the body of an answer of that status.
    pub fn adds_trailers(&self, status: u16) -> bool {
        self.in_force().added.trailers.adds_any(status)
    }

    /// True when the app's trailers go to the client.
    pub fn passes_trailers(&self) -> bool {
        matches!(&self.in_force().content, Content::Proxy(proxy) if proxy.passes_trailers)
    }

    /// Writes the last chunk of an answer of that status, and the trailers.
    pub fn write_trailers(&mut self, status: u16, out: &mut Vec<u8>) {
        let at = self.location;
        let seen = Seen { status, ..Seen::default() };
        out.extend_from_slice(b"0\r\n");
        let start = out.len();
        self.with(&seen, |mut context, host, _| {
            host.locations[at].added.trailers.append(Some(status), &mut context, out);
        });
        out.extend_from_slice(b"\r\n");
        if self.http.variables.reads.sent_trailers {
            let head = [b"HTTP/1.1 200 \r\n", &out[start..]].concat();
            self.kept.sent_trailers = KeptHead::of_answer(head);
        }
    }

    /// Writes the head of the upstream's answer, which came as `raw`; the status it has now.
    pub fn write_answer(
        &mut self,
        out: &mut Vec<u8>,
        head: &AnswerHead<'_, '_>,
        raw: &[u8],
        outgoing: &Outgoing<'_>,
    ) -> u16 {
        let status = self.status_of(head.status);
        let reason = if status == head.status { head.reason } else { respond::reason(status) };
        rewrite::status_line(out, status, reason);
        let is_emptied = self.state.status_override > 0 && matches!(status, 204 | 304);
        let at = self.location;
        let mut handed = std::mem::take(&mut self.challenge);
        handed.extend_from_slice(self.handed_fields());
        let keeps = self.http.variables.reads.answer_fields;
        self.keep_upstream(raw);
        self.kept.sent = KeptHead::default();
        let seen = Seen { status, ..Seen::default() };
        let (identity, tls) = (self.identity.clone(), self.tls);
        self.with(&seen, |mut context, host, _| {
            let author = Author { host, local: identity.local(), tls, range: b"" };
            let location = &host.locations[at];
            let Content::Proxy(proxy) = &location.content else { return };
            let added = &location.added;
            let modified = added.expires.as_ref().and_then(|_| last_modified(head));
            let fresh = added.freshness(status, modified, &mut context);
            if proxy.hidden.names(b"server") {
                respond::server(location.server, out);
            }
            for (name, header) in head.fields.iter() {
                let field = header.name.as_bytes();
                if !rewrite::goes_to_client(&head.fields, name, header, outgoing)
                    || proxy.hidden.has(name, field)
                    || (name == Name::Trailer && !proxy.passes_trailers)
                    || (name == Name::ContentType && (header.value.is_empty() || is_emptied))
                    || added.replaces(name, fresh.as_ref(), status)
                {
                    continue;
                }
                out.extend_from_slice(field);
                out.extend_from_slice(b": ");
                append_value(&author, location, proxy, (name, header.value), &mut context, out);
                out.extend_from_slice(b"\r\n");
            }
            if fresh.is_some() {
                added::drop_freshness(&mut handed);
            }
            out.extend_from_slice(&handed);
            let readable = keeps.then_some(outgoing);
            location.append_added(fresh.as_ref(), status, readable, &mut context, out);
            if outgoing.keep_alive {
                location.keeping.announce(out);
            }
        });
        rewrite::end_answer(out, outgoing);
        self.in_force().files.settings.complete(status, out);
        if keeps {
            self.kept.sent = KeptHead::of_answer(out.clone());
        }
        status
    }
}

/// The value of an app's field, rewritten where the location says so.
fn append_value(
    author: &Author<'_>,
    location: &Location,
    proxy: &Proxy,
    (name, value): (Name, &[u8]),
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) {
    let begin = out.len();
    let rewritten = match name {
        Name::Location => proxy.redirects.rewrite_location(value, context, out),
        Name::Refresh => proxy.redirects.rewrite_refresh(value, context, out),
        Name::SetCookie if !proxy.cookies.is_empty() => proxy.cookies.rewrite(value, context, out),
        _ => false,
    };
    if !rewritten {
        out.truncate(begin);
        out.extend_from_slice(value);
    } else if out.get(begin) == Some(&b'/') && name == Name::Location {
        // As with a redirect of our own.
        let mut base = Vec::new();
        author.append_base(location.redirects, context, &mut base);
        out.splice(begin..begin, base);
    }
}

impl Location {
    /// Appends what `add_header` says to a head that has everything else but its end, which is
    /// `readable` where somebody reads fields of the answer.
    fn append_added(
        &self,
        fresh: Option<&Freshness>,
        status: u16,
        readable: Option<&Outgoing<'_>>,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let Some(end) = readable.filter(|_| !self.added.fields.is_empty()) else {
            return self.added.append_with(fresh, Some(status), context, out);
        };
        let mut so_far = out.clone();
        rewrite::end_answer(&mut so_far, end);
        let so_far = KeptHead::of_answer(so_far);
        let answer = Answer { fields: so_far.fields(), ..context.facts.answer };
        let facts = Facts { answer, ..*context.facts };
        let mut context =
            Context { variables: context.variables, facts: &facts, state: &mut *context.state };
        self.added.append_with(fresh, Some(status), &mut context, out);
    }
}

/// In seconds since 1970.
fn last_modified(head: &AnswerHead<'_, '_>) -> Option<i64> {
    head.fields.first(Name::LastModified).and_then(date::parse)
}
