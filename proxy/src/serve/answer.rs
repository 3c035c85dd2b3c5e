//! The app's answer as the client gets it: hidden fields, redirects and cookies rewritten,
//! `add_header`.

use super::ongoing::{Ongoing, Seen};
use crate::h1::head::AnswerHead;
use crate::h1::rewrite::{self, Outgoing};
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
        let kept = self.handed_fields().to_vec();
        let seen = Seen {
            status,
            upstream_addr: address.as_bytes(),
            upstream_status: Some(head.status),
            fields: head.fields.list(),
            ..Seen::default()
        };
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
            out.extend_from_slice(&kept);
            location.added.append(Some(status), &mut context, out);
        });
        rewrite::end_answer(out, outgoing);
    }
}
