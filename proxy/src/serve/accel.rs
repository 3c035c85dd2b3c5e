//! X-Accel-Redirect: the app leaves its answer to a file or another location, and some fields of its
//! own stay.

use super::ongoing::{Ongoing, Seen};
use super::plan::{self, Deed, Left};
use crate::buf::Buf;
use crate::h1::head::AnswerHead;
use crate::h1::name::{Name, NameSet};
use crate::route::http::Content;

/// What an app has left to us.
#[derive(Debug, Default)]
pub(super) struct Handed {
    target: Vec<u8>,
    /// Content-Type; empty for that of the content.
    media: Vec<u8>,
    /// Whole lines of the fields that stay.
    fields: Vec<u8>,
}

impl Ongoing {
    /// True when the answer of which `raw` is the head says where another is; what of it stays is
    /// kept.
    pub fn hands_over(&mut self, head: &AnswerHead<'_, '_>, raw: &[u8]) -> bool {
        let Some(target) = head.fields.first(Name::XAccelRedirect) else { return false };
        let Content::Proxy(proxy) = &self.in_force().content else { return false };
        if proxy.ignores_redirect {
            return false;
        }
        let mut kept = Handed {
            target: target.to_vec(),
            media: head.fields.first(Name::ContentType).unwrap_or_default().to_vec(),
            fields: self.handed_fields().to_vec(),
        };
        let at = self.location;
        self.keep_upstream(raw);
        self.with(&Seen::default(), |mut context, host, _| {
            let Content::Proxy(proxy) = &host.locations[at].content else { return };
            for (name, field) in head.fields.iter() {
                let is_kept =
                    STAYING.has(name) || field.name.eq_ignore_ascii_case("content-disposition");
                if !is_kept || proxy.hidden.has(name, field.name.as_bytes()) {
                    continue;
                }
                let out = &mut kept.fields;
                out.extend_from_slice(field.name.as_bytes());
                out.extend_from_slice(b": ");
                if name != Name::SetCookie || !proxy.cookies.rewrite(field.value, &mut context, out)
                {
                    out.extend_from_slice(field.value);
                }
                out.extend_from_slice(b"\r\n");
            }
        });
        self.handed = Some(Box::new(kept));
        true
    }

    /// The type that an app has given to an answer it has left to us, or nothing.
    pub(super) fn handed_media(&self) -> &[u8] {
        self.handed.as_deref().map_or(b"", |handed| &handed.media)
    }

    /// What of an app's answer stays, if it has left the rest to us.
    pub(super) fn handed_fields(&self) -> &[u8] {
        self.handed.as_deref().map_or(b"", |handed| &handed.fields)
    }
}

/// What is done where the app has said that another answers.
pub fn follow(
    ongoing: &mut Ongoing,
    left: Left,
    input: &mut Buf,
    scratch: &mut Vec<u8>,
) -> Option<Deed> {
    let target = std::mem::take(&mut ongoing.handed.as_deref_mut()?.target);
    let location = ongoing.location;
    plan::again(ongoing, left, input, scratch, |run| run.accelerate(&target, location))
}

/// The fields that nginx keeps, but for Content-Type and Content-Disposition.
const STAYING: NameSet = NameSet::of(&[Name::SetCookie, Name::CacheControl, Name::Expires]);
