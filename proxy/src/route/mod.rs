//! Server name and path to site and location.
//!
//! `Routes` below serves sheen.toml. The rooms beside it hold nginx's semantics, for a reader of
//! nginx.conf to compile into and for the data plane to run. How to use them:
//!
//! At load, per configuration: one [`variable::Registry`]; [`variable::Registry::at`] before each
//! directive, so that unknown variables can be reported where they were named. The directives'
//! arguments go to functions that answer in nginx's words:
//!
//! | directive | function |
//! |---|---|
//! | `map` | [`map::Map::new`], `entry` for each line, then [`variable::Registry::define_map`] |
//! | `server_name` | [`names::Names::add`], one `Names` for each listening address |
//! | `location` | [`location::Match::parse`], [`location::Builder::add`]; `add_slash` with `proxy_pass` |
//! | `if`, `limit_except` | `Builder::add` with [`location::Match::Nameless`] (an `if` on the server level has none) |
//! | `rewrite`, `return`, `set`, `break`, `if` | [`script::Script`] of the location that is no `if`: the inside of an `if` goes into the script around it |
//! | `root`, `alias` | [`variable::Registry::root`] |
//! | `error_page`, `try_files`, `limit_except` | [`error_page::ErrorPages`], [`try_files::TryFiles`], [`phases::LimitExcept`] in [`phases::Settings`] |
//! | `allow`, `deny` | [`access::Access`] in [`phases::Settings`] |
//! | `proxy_pass` | [`proxy_pass::ProxyPass`] |
//! | `proxy_set_header`, `add_header` | [`fields::Fields`] |
//! | `proxy_redirect`, `proxy_cookie_*` | [`upstream_fields::Redirects`], [`cookies::Cookies`] |
//! | `log_format` | [`log_format::LogFormat`] |
//!
//! Inheritance is the reader's work: [`phases::Settings`] has one entry for each number of
//! [`location::Builder`], all values filled in. A nameless location has the root, error pages and
//! content (its own `proxy_pass`, else that of the location around it) of where it stands, but
//! neither its script nor its `try_files`. Then [`variable::Registry::finish`].
//!
//! Per request: [`state::State::begin`] on the worker's state, [`uri::Target::parse`],
//! [`names::Host::parse`], [`names::Names::find`], then [`phases::Run::begin`]. Its
//! [`phases::Decision`] names the location whose content is to be served for the state's `uri` and
//! `args`; `Run::fail` (an upstream's error, a file that is missing) and `Run::redirect` (an index,
//! X-Accel-Redirect) go on from there. For `Content`, a `status_override` of the state takes the
//! place of the content's own status. A location is an index into whatever else the reader keeps of
//! locations. Templates are evaluated with an [`evaluate::Context`] at any later time, with more
//! facts: the answer's, for `add_header` and the log.
//!
//! Bounds: values have a size, evaluations a number ([`state::State::is_overflowed`] says that a
//! request went beyond: 500), internal redirects are ten as in nginx, expressions run in linear
//! time. Deliberate differences from nginx: control characters of the request are escaped where
//! they would end a header field or a request line.

pub mod path;

pub mod access;
pub mod added;
mod beginning;
pub mod builtin;
mod clock;
pub mod condition;
pub mod cookies;
pub mod error_page;
pub mod escape;
pub mod evaluate;
mod exclusion;
pub mod expires;
pub mod facts;
pub mod fields;
pub mod http;
pub mod location;
pub mod log_format;
pub mod map;
pub mod names;
mod pattern;
pub mod phases;
pub mod proxy_pass;
mod reading;
pub mod real_ip;
pub mod regex;
mod regexes;
mod rewriting;
pub mod root;
pub mod script;
pub mod state;
pub mod template;
pub mod try_files;
pub mod upstream_fields;
pub mod uri;
pub mod variable;

use std::path::PathBuf;

use crate::config::{self, App, PlainHttp, Upstream};
use crate::lookup::Lookup;

/// Every site, indexed; made once per configuration.
#[derive(Debug)]
pub struct Routes {
    /// Names in lower case.
    exact: Lookup<Box<[u8]>, usize>,
    /// `example.com` for `*.example.com`.
    wildcard: Lookup<Box<[u8]>, usize>,
    /// At least one; the first is the default.
    sites: Vec<Site>,
}

/// What the data plane knows of a site.
#[derive(Debug)]
pub struct Site {
    /// For logs and for redirects of requests without Host; may be empty.
    pub name: Box<str>,
    /// The whole Strict-Transport-Security line, or empty.
    pub hsts: Box<[u8]>,
    pub http: PlainHttp,
    pub acme_webroot: Option<PathBuf>,
    /// Longest prefix first.
    locations: Vec<Location>,
}

#[derive(Debug)]
pub struct Location {
    /// Among those of its site.
    pub number: usize,
    pub prefix: Box<str>,
    pub strip_prefix: bool,
    pub app: App,
    pub upstream: Upstream,
}

/// What a path leads to.
#[derive(Debug)]
pub enum Found<'a> {
    Location(&'a Location),
    /// The path of a location but for its final slash.
    MissingSlash,
    Nothing,
}

impl Routes {
    pub fn new(sites: &[config::Site]) -> Self {
        let (mut exact, mut wildcard) = (Lookup::default(), Lookup::default());
        for (index, site) in sites.iter().enumerate() {
            for name in &site.names {
                match name.strip_prefix("*.") {
                    Some(suffix) => wildcard.entry(suffix.as_bytes().into()).or_insert(index),
                    None => exact.entry(name.as_bytes().into()).or_insert(index),
                };
            }
        }
        Self { exact, wildcard, sites: sites.iter().map(Site::new).collect() }
    }

    /// The number of the site that answers for `host`: exact name, wildcard of one label, the
    /// first.
    pub fn index(&self, host: &str) -> usize {
        let mut lower = [0; HOST_BYTES_MAX];
        let host = host.strip_suffix('.').unwrap_or(host);
        // Names have IPv6 addresses without the brackets of a Host field.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let Some(lower) = lower.get_mut(..host.len()) else {
            return 0;
        };
        lower.copy_from_slice(host.as_bytes());
        lower.make_ascii_lowercase();
        if let Some(index) = self.exact.get(&*lower) {
            return *index;
        }
        let parent = memchr::memchr(b'.', lower).map(|dot| &lower[dot + 1..]);
        parent.and_then(|parent| self.wildcard.get(parent)).copied().unwrap_or(0)
    }

    pub fn site(&self, index: usize) -> &Site {
        &self.sites[index]
    }
}

impl Site {
    fn new(site: &config::Site) -> Self {
        let hsts = match &site.hsts {
            Some(value) => format!("Strict-Transport-Security: {value}\r\n").into_bytes(),
            None => Vec::new(),
        };
        let locations = site.locations.iter().enumerate().map(|(number, location)| Location {
            number,
            prefix: location.prefix.as_str().into(),
            strip_prefix: location.strip_prefix,
            app: location.app,
            upstream: location.upstream.clone(),
        });
        Self {
            name: site
                .names
                .first()
                .map_or("", |name| name.strip_prefix("*.").unwrap_or(name))
                .into(),
            hsts: hsts.into(),
            http: site.http,
            acme_webroot: site.acme_webroot.clone(),
            locations: locations.collect(),
        }
    }

    pub fn location(&self, number: usize) -> &Location {
        &self.locations[number]
    }

    /// The location of a normal path (see [`path::normal`]).
    pub fn find(&self, path: &[u8]) -> Found<'_> {
        for location in &self.locations {
            let prefix = location.prefix.as_bytes();
            if path.starts_with(prefix) {
                return Found::Location(location);
            }
            if prefix.len() == path.len() + 1 && prefix.ends_with(b"/") && prefix.starts_with(path)
            {
                return Found::MissingSlash;
            }
        }
        Found::Nothing
    }
}

/// RFC 1035 section 3.1.
const HOST_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod routing {
    use super::*;
    use crate::config::{UpstreamAddress, native};

    fn routes() -> Routes {
        let text = r#"
            [[site]]
            names = ["first.example"]
            to = "127.0.0.1:1"
            [[site]]
            names = ["a.example", "*.b.example", "::1"]
            [[site.location]]
            prefix = "/"
            to = "127.0.0.1:2"
            [[site.location]]
            prefix = "/rstudio/"
            to = "127.0.0.1:3"
        "#;
        Routes::new(&native::parse(text, "t").expect("it is right").config.sites)
    }

    #[test]
    fn names_lead_to_sites() {
        let routes = routes();
        for (host, index) in [
            ("first.example", 0),
            ("A.Example", 1),
            ("a.example.", 1),
            ("x.b.example", 1),
            ("[::1]", 1),
            ("x.y.b.example", 0),
            ("b.example", 0),
            ("unknown", 0),
            ("", 0),
        ] {
            assert_eq!(routes.index(host), index, "{host}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        let routes = routes();
        let port = |path: &str| match routes.site(1).find(path.as_bytes()) {
            Found::Location(location) => match location.upstream.addresses[0] {
                UpstreamAddress::Tcp(address) => address.port(),
                UpstreamAddress::Unix(_) => 0,
            },
            Found::MissingSlash => 301,
            Found::Nothing => 404,
        };
        assert_eq!(port("/"), 2);
        assert_eq!(port("/rstudio/x"), 3);
        assert_eq!(port("/rstudio"), 301);
        assert_eq!(port("/rstudiox"), 2);
    }
}
