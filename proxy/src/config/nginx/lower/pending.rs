//! Directives that the table promises and no room lowers yet: refused by name, never dropped.

use super::super::table::Treatment;
use super::super::tree::Directive;
use super::Lower;

impl<'t> Lower<'t> {
    pub(super) fn refuse_pending(&mut self, block: &'t [Directive]) {
        for directive in block {
            let is_promised =
                directive.row.is_some_and(|row| matches!(row.treatment, Treatment::Does(_)));
            if is_promised && let Some((name, _)) = pending(directive) {
                let words = directive.text(0);
                let what = match words.is_empty() {
                    true => format!("\"{name}\" is not supported yet"),
                    false => format!("\"{name} {words}\" is not supported yet"),
                };
                self.problem(directive, what);
            }
            self.refuse_pending(directive.block());
        }
    }
}

/// The row of a directive that has to be refused with these arguments.
fn pending(directive: &Directive) -> Option<&'static (&'static str, Unless)> {
    PENDING.iter().find(|(name, unless)| {
        directive.is(name)
            && match unless {
                Unless::Never => true,
                Unless::First(word) => !directive.arg(0).eq_ignore_ascii_case(word.as_bytes()),
            }
    })
}

/// When such a directive is harmless.
enum Unless {
    Never,
    /// With this first argument.
    First(&'static str),
}

const PENDING: &[(&str, Unless)] = &[
    ("add_header_inherit", Unless::First("on")),
    ("add_trailer", Unless::Never),
    ("add_trailer_inherit", Unless::First("on")),
    ("expires", Unless::First("off")),
    ("ignore_invalid_headers", Unless::First("on")),
    ("max_headers", Unless::Never),
    ("proxy_ignore_client_abort", Unless::First("off")),
    ("proxy_pass_request_body", Unless::First("on")),
    ("proxy_pass_trailers", Unless::First("on")),
    ("proxy_set_body", Unless::Never),
    ("ssl_password_file", Unless::Never),
    ("ssl_reject_handshake", Unless::First("off")),
    ("ssl_session_ticket_key", Unless::Never),
    ("working_directory", Unless::Never),
];
