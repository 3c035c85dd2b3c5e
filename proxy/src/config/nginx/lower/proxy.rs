//! `proxy_*`: the request as the app gets it, and its answer on the way back.

use std::sync::Arc;
use std::time::Duration;

use super::super::tree::Directive;
use super::super::values;
use super::Lower;
use super::scope::Scope;
use crate::config::Resolving;
use crate::route::cookies::Cookies;
use crate::route::fields::Fields;
use crate::route::http::{Proxy, RequestBody};
use crate::route::location::Match;
use crate::route::proxy_pass::ProxyPass;
use crate::route::template::Template;
use crate::route::upstream_fields::Redirects;

impl<'t> Lower<'t> {
    /// A `proxy_pass` that stands in a location matched by `matched`, or in an `if` in one.
    pub(super) fn proxy(
        &mut self,
        line: &'t Directive,
        matched: &Match,
        around: &Match,
        scope: &Scope<'t>,
    ) -> Option<Arc<Proxy>> {
        self.at(line);
        let pass = ProxyPass::parse(line.arg(0), matched, &mut self.registry);
        let pass = self.check(line, pass)?;
        let upstream = if line.arg(0).contains(&b'$') { None } else { self.upstream(line) };
        let mut fields = Fields::default();
        let lines = scope.lines(&["proxy_set_header"]);
        self.each(&lines, |words, registry| match words {
            [name, value] => fields.set(name, value, registry),
            _ => Ok(()),
        });
        let method = scope.line("proxy_method").and_then(|line| {
            let compiled = Template::compile(line.arg(0), &mut self.registry);
            self.check(line, compiled)
        });
        let resolving = if upstream.is_none() { self.resolving(scope) } else { None };
        if let Some(line) = scope.line("proxy_http_version").filter(|line| line.arg(0) == b"1.0") {
            self.note(line, "the app is spoken to in HTTP/1.1: it may answer in HTTP/1.0");
        }
        let redirects = self.redirects(scope, &pass, around);
        Some(Arc::new(Proxy {
            redirects,
            pass,
            upstream,
            resolving,
            fields,
            method,
            passes_request_fields: scope.flag("proxy_pass_request_headers", true),
            hidden: hidden(scope).into_iter().collect(),
            cookies: self.cookies(scope),
            intercepts: scope.flag("proxy_intercept_errors", false),
            ignores_redirect: scope
                .lines(&["proxy_ignore_headers"])
                .iter()
                .flat_map(|line| line.args())
                .any(|word| word.bytes.eq_ignore_ascii_case(b"x-accel-redirect")),
            body: self.request_body(scope),
            ignores_abort: scope.flag("proxy_ignore_client_abort", false),
            passes_trailers: scope.flag("proxy_pass_trailers", false),
        }))
    }

    /// Which of the addresses that a name has are taken, and how long they are good for.
    fn resolving(&mut self, scope: &Scope<'t>) -> Option<Resolving> {
        let line = scope.line("resolver")?;
        self.note(line, "names are looked up by this machine's resolver, not by those listed here");
        let says = |word: &[u8]| line.args().iter().any(|given| given.bytes == *word);
        let valid = line.args().iter().find_map(|word| word.bytes.strip_prefix(b"valid="));
        Some(Resolving {
            valid: valid.and_then(values::seconds).unwrap_or(VALID),
            timeout: scope.time("resolver_timeout").unwrap_or(TIMEOUT),
            v4: !says(b"ipv4=off"),
            v6: !says(b"ipv6=off"),
        })
    }

    /// A body of the configuration's counts more than none, as in nginx.
    fn request_body(&mut self, scope: &Scope<'t>) -> RequestBody {
        if let Some(line) = scope.line("proxy_set_body") {
            self.at(line);
            let compiled = Template::compile(line.arg(0), &mut self.registry);
            if let Some(body) = self.check(line, compiled) {
                return RequestBody::Set(body);
            }
        }
        match scope.flag("proxy_pass_request_body", true) {
            true => RequestBody::Passed,
            false => RequestBody::Dropped,
        }
    }

    fn redirects(&mut self, scope: &Scope<'t>, pass: &ProxyPass, around: &Match) -> Redirects {
        let lines = scope.lines(&["proxy_redirect"]);
        let name = match around {
            Match::Exact(name) | Match::Prefix { name, .. } => &**name,
            _ => b"/",
        };
        if lines.is_empty() {
            return Redirects::default_for(pass, name);
        }
        let mut redirects = Redirects::default();
        if lines.iter().any(|line| line.slices() == [b"off"]) {
            return redirects;
        }
        self.each(&lines, |words, registry| redirects.add(words, pass, name, registry));
        redirects
    }

    fn cookies(&mut self, scope: &Scope<'t>) -> Cookies {
        let mut cookies = Cookies::default();
        let on = |name: &str| -> Vec<&'t Directive> {
            let lines = scope.lines(&[name]);
            if lines.iter().any(|line| line.slices() == [b"off"]) { Vec::new() } else { lines }
        };
        let (domains, paths, flags) =
            (on("proxy_cookie_domain"), on("proxy_cookie_path"), on("proxy_cookie_flags"));
        self.each(&domains, |words, registry| cookies.add_domain(words, registry));
        self.each(&paths, |words, registry| cookies.add_path(words, registry));
        for line in &flags {
            for flag in line.slices().into_iter().skip(1) {
                if !flag.contains(&b'$') && !Cookies::is_flag(flag) {
                    let flag = flag.escape_ascii();
                    self.note(line, format!("\"{flag}\" is no flag of a cookie: nothing is set"));
                }
            }
        }
        self.each(&flags, |words, registry| cookies.add_flags(words, registry));
        cookies
    }
}

/// The fields of an answer that stay behind: those of nginx, and `proxy_hide_header`, without
/// those of `proxy_pass_header`.
fn hidden(scope: &Scope<'_>) -> Vec<Vec<u8>> {
    let named = |name: &str| -> Vec<Vec<u8>> {
        scope.lines(&[name]).iter().map(|line| line.arg(0).to_ascii_lowercase()).collect()
    };
    let passed = named("proxy_pass_header");
    let mut hidden = named("proxy_hide_header");
    hidden.extend(HIDDEN.iter().map(|name| name.to_vec()));
    hidden.retain(|name| !passed.contains(name));
    hidden
}

/// The system does not say how long an address is good for.
const VALID: Duration = Duration::from_secs(10);
/// nginx's.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What nginx hides unless told otherwise, without Date: there the app knows best.
const HIDDEN: &[&[u8]] = &[
    b"server",
    b"x-pad",
    b"x-accel-redirect",
    b"x-accel-limit-rate",
    b"x-accel-buffering",
    b"x-accel-charset",
    b"x-accel-expires",
];
