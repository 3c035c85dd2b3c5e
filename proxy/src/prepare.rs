//! What a configuration needs before it can be served: its certificates, a way to wait for the
//! kernel, the snapshot of the data plane, room for connections.

use std::path::Path;
use std::sync::Arc;

use certstore::{Resolver, Source, Store, development};
use rustls::server::ProducesTickets;

use crate::admission::Admission;
use crate::config::{Config, Dialect, LogTarget, Offer, Problem, Rung, Runtime, certificate_group};
use crate::context::Snapshot;
use crate::errno;
use crate::io::runtime;
use crate::life::{pidfile, privileges};
use crate::limits::Limits;
use crate::listeners::{self, Active};
use crate::redirect::Redirect;
use crate::route::Routes;
use crate::serve::certificate::AtAddress;
use crate::tls;
use crate::tls::config::Configs;
use crate::tls::ktls::{self, Offload};

/// What `-t` checks beyond the file itself: the certificates, the user, and whether logs and the pid
/// file can be written. Returns warnings.
pub fn check(config: &Config) -> Result<Vec<Problem>, Vec<Problem>> {
    let said = |problem: certstore::Problem| Problem {
        file: problem.file.display().to_string(),
        line: None,
        what: problem.what,
        hint: problem.hint,
        dialect: Dialect::Native,
    };
    let plain = |what: String| {
        let (file, dialect) = (String::new(), Dialect::Native);
        Problem { file, line: None, what, hint: None, dialect }
    };
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    match user(config, &mut warnings) {
        Ok(_) => {}
        Err(words) => problems.push(plain(words)),
    }
    let mut warnings: Vec<Problem> = warnings.into_iter().map(plain).collect();
    problems.extend(listeners::absent(&config.listeners).into_iter().map(plain));
    let log = &config.log;
    let logs = log.access.iter().chain([&log.error]);
    let logs = logs.filter_map(|target| match target {
        LogTarget::File(path) => Some(path.as_path()),
        LogTarget::Stdout | LogTarget::Stderr | LogTarget::Syslog(_) => None,
    });
    let files = config.process.pid.as_deref().into_iter().chain(logs);
    problems.extend(files.filter_map(|path: &Path| pidfile::check(path).err()).map(plain));
    let sources = sources(config, &mut Vec::new()).map_err(|problem| vec![problem]);
    match sources.and_then(Store::open) {
        Ok((_, report)) => warnings.extend(report.warnings.into_iter().map(said)),
        Err(more) => problems.extend(more.into_iter().map(said)),
    }
    if problems.is_empty() { Ok(warnings) } else { Err(problems) }
}

/// Whom to become; `None` when nobody is named or we may not. Warnings have no level before them.
///
/// Errors: there is no such user.
pub fn user(
    config: &Config,
    warnings: &mut Vec<String>,
) -> Result<Option<privileges::Ids>, String> {
    match &config.process.user {
        None => Ok(None),
        Some(user) if privileges::is_root() => privileges::look_up(user).map(Some),
        Some(_) => {
            warnings.push(
                "the \"user\" directive makes sense only if the master process runs with \
                 super-user privileges, ignored"
                    .to_owned(),
            );
            Ok(None)
        }
    }
}

/// The files to watch; the development certificate for sites that name none.
pub fn sources(
    config: &Config,
    notes: &mut Vec<String>,
) -> Result<Vec<Source>, certstore::Problem> {
    if !config.listeners.iter().any(|listen| listen.tls) {
        return Ok(Vec::new());
    }
    let mut sources = Vec::new();
    let mut bare = Vec::new();
    for (index, site) in config.sites.iter().enumerate() {
        for files in &site.certificates {
            sources.push(Source {
                cert: files.cert.clone(),
                key: files.key.clone(),
                passphrases: files.passphrases.clone(),
                names: site.names.clone(),
                default: index == 0,
                group: certificate_group(&site.certificates),
            });
        }
        // In nginx's language a server without any has been asked about before.
        if site.certificates.is_empty() && config.http.is_none() {
            bare.push(index);
        }
    }
    if !bare.is_empty() {
        let names: Vec<String> =
            bare.iter().flat_map(|index| config.sites[*index].names.clone()).collect();
        let default = bare[0] == 0;
        sources.push(development_source(names, default, notes)?);
    }
    Ok(sources)
}

fn development_source(
    names: Vec<String>,
    default: bool,
    notes: &mut Vec<String>,
) -> Result<Source, certstore::Problem> {
    let files = development::ensure(&development::state_dir(), &names)?;
    notes.push(format!(
        "the development certificate is signed by {}: browsers that trust it do not warn",
        files.ca_cert.display()
    ));
    let group = String::new();
    Ok(Source { cert: files.cert, key: files.key, passphrases: None, names, default, group })
}

/// The configuration as the data plane has it.
pub fn snapshot(
    config: &Config,
    store: &Arc<Store>,
    ticketer: &Arc<dyn ProducesTickets>,
    listeners: &[Active],
    offload: Offload,
) -> Snapshot {
    let https = || listeners.iter().filter(|l| l.listen.tls);
    let ports = || https().filter_map(|l| l.address.tcp()).map(|address| address.port());
    let https_port = ports().find(|port| *port == 443).or_else(|| ports().next()).unwrap_or(443);
    Snapshot {
        routes: Routes::new(&config.sites),
        limits: config.limits.clone(),
        tls: tls_configs(config, store, ticketer),
        offload,
        redirect: Redirect::new(https_port),
        trusted_proxies: config.trusted_proxies.clone(),
        http: config.http.as_ref().map(|compiled| compiled.0.clone()),
    }
}

fn tls_configs(
    config: &Config,
    store: &Arc<Store>,
    ticketer: &Arc<dyn ProducesTickets>,
) -> Configs {
    let one = Arc::new(Resolver(store.clone()));
    let make = |offer: &Offer, resolver| tls::config::server(offer, resolver, ticketer.clone());
    let http = config.http.as_ref().map(|compiled| &compiled.0);
    let own = http.into_iter().flat_map(|http| {
        http.offers.iter().map(|(address, offer)| {
            let (http, store) = (http.clone(), store.clone());
            let resolver = Arc::new(AtAddress { address: address.clone(), http, store });
            (address.clone(), make(offer, resolver))
        })
    });
    let by_address = own.collect();
    Configs { one: make(&Offer::of(config.protocols), one), by_address }
}

/// What of this kernel is used: a way to wait for it, and its TLS. While we have our privileges: then
/// the kernel loads its module for TLS.
///
/// Errors: what is asked for can't be had.
pub fn kernel(config: &Config, notes: &mut Vec<String>) -> Result<(Rung, Offload), String> {
    Ok((choose_rung(config.runtime, notes)?, offload(config, notes)?))
}

pub fn offload(config: &Config, notes: &mut Vec<String>) -> Result<Offload, String> {
    ktls::decide(config.ktls, config.protocols, notes)
}

fn choose_rung(runtime: Runtime, notes: &mut Vec<String>) -> Result<Rung, String> {
    match runtime {
        Runtime::Exactly(rung) => match runtime::probe(rung) {
            Ok(()) => Ok(rung),
            Err(error) => Err(format!(
                "runtime = \"{}\" can't be had here: {error}\n  \
                 hint: runtime = \"auto\" takes the best that this kernel allows",
                rung.word()
            )),
        },
        Runtime::Auto => {
            let (rung, refused) = runtime::best();
            if rung == Rung::Epoll
                && let Some((_, error)) = refused.last()
            {
                notes.push(format!(
                    "io_uring is not available ({error}), using epoll; likely cause: a container \
                     profile or sysctl kernel.io_uring_disabled forbids it"
                ));
            }
            Ok(rung)
        }
    }
}

/// How many connections there may be.
pub fn set_admission(admission: &Admission, limits: &Limits) {
    // Two descriptors a connection, and some for listeners, logs, certificates and idle upstreams.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let room = files.unwrap_or(u64::from(u32::MAX)).saturating_sub(FILES_RESERVED).max(16) / 2;
    let room = u32::try_from(room).unwrap_or(u32::MAX);
    let all = limits.connections_max.map_or(room, |max| max.min(room)).max(1);
    let per_address = limits.connections_per_address_max.unwrap_or((all / 2).max(1));
    admission.set_limits(all, per_address);
}

/// As many open files as the configuration asks for, or as we may have: the soft limit is for
/// programs that use select(2), and we don't.
pub fn set_file_limit(config: &Config, warnings: &mut Vec<String>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Some(files) = config.process.files {
        let wanted = Rlimit { current: Some(files), maximum: Some(files) };
        match setrlimit(Resource::Nofile, wanted) {
            Ok(()) => return,
            Err(error) => {
                let words = errno::words(&error.into());
                warnings.push(format!("setrlimit(RLIMIT_NOFILE, {files}) failed ({words})"));
            }
        }
    }
    // Where it can't be raised the lower one counts: see `set_admission`.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

const FILES_RESERVED: u64 = 512;
