//! From what nginx.conf says to what sheen runs: one room for each family of directives.
//!
//! Everything that is wrong is collected. What a room does not do yet it refuses by name, and what
//! serving goes on without `pending` notes: nothing is dropped without a word.

mod access;
mod ciphers;
mod core;
mod files;
mod headers;
mod http;
mod locations;
mod logs;
mod proxy;
mod real_ip;
mod scope;
mod servers;
#[cfg(test)]
mod tests;
mod timeouts;
mod tls;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use self::scope::Scope;
use super::Options;
use super::tree::{Directive, Tree, all, find};
use crate::config::native::Loaded;
use crate::config::raw::Place;
use crate::config::{Compiled, Config, Dialect, LogTarget, Problem, Site, Upstream};
use crate::files::Types;
use crate::route::access::Access;
use crate::route::http::Http;
use crate::route::log_format::LogFormat;
use crate::route::variable::Registry;

/// Lowers what was read. Errors: all that is wrong, in nginx's words.
pub fn lower(tree: &Tree, options: &Options) -> Result<Loaded, Vec<Problem>> {
    let mut lower = Lower {
        options,
        registry: Registry::default(),
        formats: HashMap::new(),
        log_files: Vec::new(),
        error_lines: all(&tree.main, "error_log").collect(),
        upstreams: HashMap::new(),
        types: Vec::new(),
        access: Vec::new(),
        places: Vec::new(),
        problems: tree.refused.clone(),
        notes: tree.notes.clone(),
    };
    let config = lower.all(tree);
    match config {
        Some(config) if lower.problems.is_empty() => {
            Ok(Loaded { config, warnings: once(lower.notes) })
        }
        _ => Err(once(lower.problems)),
    }
}

/// A line that several places inherit is spoken of once.
fn once(mut problems: Vec<Problem>) -> Vec<Problem> {
    let mut said = HashSet::new();
    problems.retain(|problem| said.insert(problem.clone()));
    problems
}

/// A configuration on its way.
struct Lower<'t> {
    options: &'t Options,
    registry: Registry,
    formats: HashMap<Vec<u8>, LogFormat>,
    /// In the order of their numbers.
    log_files: Vec<LogTarget>,
    /// The `error_log`s of the top of the file.
    error_lines: Vec<&'t Directive>,
    /// By name: the groups, and the hosts that `proxy_pass` names.
    upstreams: HashMap<Box<[u8]>, Arc<Upstream>>,
    /// What `types` blocks say, by the first of their level: many locations share them.
    types: Vec<(*const Directive, Types)>,
    /// What `allow` and `deny` say, likewise.
    access: Vec<(*const Directive, Arc<Access>)>,
    /// Directives with variables in them, for those that nothing defines.
    places: Vec<Place>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

impl<'t> Lower<'t> {
    fn all(&mut self, tree: &'t Tree) -> Option<Config> {
        let Some(section) = tree.section("http") else {
            self.problems.push(Problem {
                file: String::new(),
                line: None,
                what: "no \"http\" section in configuration: there is nothing to serve".into(),
                hint: None,
                dialect: Dialect::Nginx,
            });
            return None;
        };
        let block = section.block();
        let outer = Scope::new(block);
        self.groups(block);
        self.maps(block);
        let servers = self.servers(block, &outer);
        let tls = self.tls(&servers);
        let limits = self.process_limits(block, tree, servers.listeners.len());
        self.formats(block);
        let hosts = self.hosts(&servers, tls.servers);
        let log = self.log_config(tree, block);
        let names = self.names(&servers);
        let registry = std::mem::take(&mut self.registry);
        let variables = match registry.finish() {
            Ok(variables) => variables,
            // What is refused may be what would define them: geo, say.
            Err(_) if !tree.refused.is_empty() => return None,
            Err(unknown) => {
                for unknown in unknown {
                    let place = self.places.get(unknown.place).cloned();
                    self.problem_at(place.as_ref(), unknown.words, None);
                }
                return None;
            }
        };
        let upstreams = std::mem::take(&mut self.upstreams);
        for (name, why) in &variables.unset {
            let what = format!("\"${}\" has no value here: {why}", name.escape_ascii());
            self.notes.push(said(None, what, None));
        }
        let hostname = rustix::system::uname().nodename().to_bytes().to_ascii_lowercase().into();
        let (hosts, offers) = (hosts.into(), tls.offers.into());
        let upstreams = upstreams.into_iter().collect();
        let logs = log.access.clone();
        let http = Http { variables, names, hosts, hostname, offers, upstreams, logs };
        Some(Config {
            workers: self.workers(tree),
            runtime: crate::config::Runtime::Auto,
            process: self.process(tree),
            ktls: tls.ktls,
            listeners: servers.listeners,
            trusted_proxies: Vec::new(),
            protocols: tls.protocols,
            log,
            limits,
            sites: if tls.sites.is_empty() { vec![neutral_site()] } else { tls.sites },
            http: Some(Compiled(Arc::new(http))),
        })
    }

    /// What follows is said by this directive.
    fn at(&mut self, directive: &Directive) {
        self.registry.at(self.places.len());
        self.places.push(directive.place.clone());
    }

    fn problem(&mut self, directive: &Directive, what: impl Into<String>) {
        self.problem_at(Some(&directive.place), what.into(), None);
    }

    fn problem_at(&mut self, place: Option<&Place>, what: String, hint: Option<String>) {
        self.problems.push(said(place, what, hint));
    }

    fn note(&mut self, directive: &Directive, what: impl Into<String>) {
        self.notes.push(said(Some(&directive.place), what.into(), None));
    }

    /// The value, or its error as a problem of this directive.
    fn check<T>(&mut self, directive: &Directive, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(what) => {
                self.problem(directive, what);
                None
            }
        }
    }
}

fn said(place: Option<&Place>, what: String, hint: Option<String>) -> Problem {
    Problem {
        file: place.map_or_else(String::new, |place| place.file.to_string()),
        line: place.and_then(|place| place.line),
        what,
        hint,
        dialect: Dialect::Nginx,
    }
}

/// The value of a single-valued directive of this block, if it stands there.
fn text<'a>(block: &'a [Directive], name: &str) -> Option<std::borrow::Cow<'a, str>> {
    find(block, name).map(|directive| directive.text(0))
}

/// Stands where a configuration has no site of the other dialect.
fn neutral_site() -> Site {
    Site {
        names: Vec::new(),
        certificates: Vec::new(),
        hsts: None,
        http: crate::config::PlainHttp::Proxy,
        acme_webroot: None,
        locations: Vec::new(),
    }
}
