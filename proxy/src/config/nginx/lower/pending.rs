//! Directives that the table promises and no room lowers yet: refused by name, or named in a note
//! where serving goes on in sheen's own way; never dropped in silence.

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

impl<'t> Lower<'t> {
    /// One note for the directives that this release serves without.
    pub(super) fn note_unserved(&mut self, tree: &'t [Directive]) {
        let taken: Vec<&str> =
            TAKEN.iter().copied().filter(|name| first(tree, name).is_some()).collect();
        if !taken.is_empty() {
            let what = format!("these say nothing here yet: {}", taken.join(", "));
            self.notes.push(super::said(None, what, None));
        }
    }
}

/// The first directive of this name, in any block.
fn first<'t>(block: &'t [Directive], name: &str) -> Option<&'t Directive> {
    block.iter().find_map(|directive| match directive.is(name) {
        true => Some(directive),
        false => first(directive.block(), name),
    })
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

/// Neither lowered nor refused: what they ask for is done in sheen's own way.
const TAKEN: &[&str] = &[
    "worker_connections",
    "worker_rlimit_nofile",
    "keepalive_requests",
    "keepalive_time",
    "server_tokens",
    "proxy_buffering",
    "proxy_request_buffering",
    "ssl_ciphers",
    "ssl_ecdh_curve",
    "ssl_prefer_server_ciphers",
    "ssl_session_cache",
    "ssl_session_tickets",
    "ssl_session_timeout",
];
