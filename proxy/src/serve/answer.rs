//! The app's answer as the client gets it: hidden fields, redirects and cookies rewritten,
//! `add_header`.

use httparse::Header;

use super::ongoing::{Ongoing, Seen};
use crate::files::date;
use crate::h1::head::AnswerHead;
use crate::h1::name::Name;
use crate::h1::rewrite::{self, Outgoing};
use crate::log;
use crate::respond;
use crate::route::http::Content;

impl Ongoing {
    /// True when an answer of that status is replaced by an error page.
    pub fn intercepts(&self, status: u16) -> bool {
        let Content::Proxy(proxy) = &self.in_force().content else { return false };
        status >= 300
            && proxy.intercepts
            && self.http.hosts[self.host].server.settings[self.location].error_pages.has(status)
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
    pub fn write_trailers(&mut self, status: u16, address: &str, out: &mut Vec<u8>) {
        let at = self.location;
        let (upstream_addr, upstream_status) = (address.as_bytes(), Some(status));
        let seen = Seen { status, upstream_addr, upstream_status, ..Seen::default() };
        out.extend_from_slice(b"0\r\n");
        self.with(&seen, |mut context, host, _| {
            host.locations[at].added.trailers.append(Some(status), &mut context, out);
        });
        out.extend_from_slice(b"\r\n");
    }

    /// Writes the head of the answer of the upstream at `address`.
    pub fn write_answer(
        &mut self,
        out: &mut Vec<u8>,
        head: &AnswerHead<'_, '_>,
        outgoing: &Outgoing<'_>,
        address: &str,
    ) {
        let overriding = self.state.status_override;
        let status = if overriding > 0 && head.status >= 200 { overriding } else { head.status };
        let reason = if status == head.status { head.reason } else { respond::reason(status) };
        rewrite::status_line(out, status, reason);
        let at = self.location;
        let seen = Seen {
            status,
            upstream_addr: address.as_bytes(),
            upstream_status: Some(head.status),
            fields: head.fields.list(),
            offset_s: log::local_offset_s(),
            ..Seen::default()
        };
        self.with(&seen, |mut context, host, _| {
            let location = &host.locations[at];
            let Content::Proxy(proxy) = &location.content else { return };
            let added = &location.added;
            let modified = added.expires.as_ref().and_then(|_| last_modified(head));
            let fresh = added.freshness(status, modified, &mut context);
            if proxy.hides(b"server") {
                respond::server(location.server, out);
            }
            for (name, header) in head.fields.iter() {
                let field = header.name.as_bytes();
                if !rewrite::goes_to_client(&head.fields, name, header, outgoing)
                    || proxy.hides(field)
                    || (name == Name::Trailer && !proxy.passes_trailers)
                    || added.replaces(field, fresh.as_ref(), status)
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
            added.append_with(fresh.as_ref(), Some(status), &mut context, out);
            if outgoing.keep_alive {
                location.keeping.announce(out);
            }
        });
        rewrite::end_answer(out, outgoing);
    }
}

/// In seconds since 1970.
fn last_modified(head: &AnswerHead<'_, '_>) -> Option<i64> {
    let is_it = |field: &&Header<'_>| field.name.eq_ignore_ascii_case("last-modified");
    head.fields.list().iter().find(is_it).and_then(|field| date::parse(field.value))
}
