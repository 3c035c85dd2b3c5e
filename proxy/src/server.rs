//! The process: sockets, certificates, workers, signals, reload, drain.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use certstore::{Resolver, Source, Store, development, tickets, watch};
use rustls::server::ProducesTickets;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::admission::Admission;
use crate::config::native::Loaded;
use crate::config::{Config, Level, Problem, Rung, Runtime};
use crate::context::{Shared, Snapshot};
use crate::io::notify::{self, Ringer};
use crate::io::runtime;
use crate::limits::Limits;
use crate::listeners::{self, Active, Sockets};
use crate::log::{self, Log};
use crate::redirect::Redirect;
use crate::route::Routes;
use crate::tls;
use crate::worker::{self, Bound, Order, Start};

/// Makes the configuration anew at every SIGHUP.
pub type Reload = Box<dyn Fn() -> Result<Loaded, Vec<Problem>>>;

/// Why sheen did not start. Everything in it is for the user.
#[derive(Debug)]
pub struct StartError(pub Vec<String>);

impl From<String> for StartError {
    fn from(words: String) -> Self {
        Self(vec![words])
    }
}

/// Runs until a signal ends it.
///
/// Errors: what keeps it from starting, all that can be said at once.
pub fn run(config: Config, reload: Reload) -> Result<(), StartError> {
    let mut server = Server::start(config)?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1])
        .map_err(|error| format!("can't receive signals: {error}"))?;
    let events = server.events.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    announce("ready");
    server.until_the_end(&reload)
}

/// Whether the certificates of a configuration can be used: what `-t` checks beyond the file
/// itself. Returns warnings.
pub fn check(config: &Config) -> Result<Vec<certstore::Problem>, Vec<certstore::Problem>> {
    let sources = sources(config, &mut Vec::new()).map_err(|problem| vec![problem])?;
    let (_, report) = Store::open(sources)?;
    Ok(report.warnings)
}

#[derive(Debug)]
enum Event {
    Signal(i32),
    WorkerEnded { number: usize, error: Option<io::Error> },
}

struct Server {
    config: Config,
    shared: Arc<Shared>,
    store: Arc<Store>,
    watch: watch::Watch,
    ticketer: Arc<dyn ProducesTickets>,
    log: Log,
    listeners: Vec<Active>,
    next_key: usize,
    workers: Vec<Handle>,
    events: Sender<Event>,
    inbox: Receiver<Event>,
}

struct Handle {
    orders: Sender<Order>,
    ringer: Ringer,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(config: Config) -> Result<Self, StartError> {
        let mut notes = Vec::new();
        raise_file_limit();
        let rung = choose_rung(config.runtime, &mut notes)?;
        let sources = sources(&config, &mut notes).map_err(|problem| emerg(&[problem]))?;
        let (store, report) = Store::open(sources).map_err(|problems| emerg(&problems))?;
        let log = Log::open(&config.log).map_err(|error| format!("can't open the log: {error}"))?;
        let mut next_key = 0;
        let (listeners, sockets) =
            listeners::bind_all(&config.listeners, config.workers, &[], &mut next_key, &mut notes)
                .map_err(StartError)?;
        let ticketer = tickets::ticketer();
        let snapshot = snapshot(&config, &store, &ticketer, &listeners);
        let admission = Admission::new();
        set_admission(&admission, &config.limits);
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            admission,
            connections: AtomicU64::new(0),
        });
        introduce(&config, rung, &notes, &report, &listeners);
        let (events, inbox) = mpsc::channel();
        let workers = start_workers(&config, rung, &shared, &log.handle(), &events)?;
        let said = log.handle();
        let watch = watch::spawn(store.clone(), move |report| say_report(&said, &report));
        let server = Self {
            config,
            shared,
            store,
            watch,
            ticketer,
            log,
            listeners,
            next_key,
            workers,
            events,
            inbox,
        };
        server.hand_out(sockets);
        Ok(server)
    }

    /// Gives each worker the whole list of listeners, with a socket for those that are new.
    fn hand_out(&self, sockets: Sockets) {
        let mut sockets: Vec<_> =
            sockets.into_iter().map(|(key, sockets)| (key, sockets.into_iter())).collect();
        for worker in &self.workers {
            let bound = self.listeners.iter().map(|active| {
                let new = sockets.iter_mut().find(|(key, _)| *key == active.key);
                let socket = new.and_then(|(_, sockets)| sockets.next());
                Bound { key: active.key, tls: active.listen.tls, socket }
            });
            worker.order(Order::Listen(bound.collect()));
        }
    }

    /// Errors: a worker has failed, or does not end when it is told to.
    fn until_the_end(&mut self, reload: &Reload) -> Result<(), StartError> {
        let mut draining: Option<Instant> = None;
        let mut cut = false;
        let mut running = self.workers.len();
        while running > 0 {
            let event = match draining {
                None => self.inbox.recv().ok(),
                Some(deadline) => {
                    self.inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
                }
            };
            match event {
                Some(Event::Signal(SIGHUP)) if draining.is_some() => {
                    announce("not reloading: shutting down");
                }
                Some(Event::Signal(SIGHUP)) => self.reload(reload),
                Some(Event::Signal(SIGUSR1)) => self.log.handle().reopen(),
                Some(Event::Signal(SIGTERM | SIGINT)) if draining.is_none() => {
                    let limit = self.config.limits.timeouts.drain;
                    let open = self.shared.admission.count();
                    announce(&format!(
                        "shutting down; {open} connections may end within {limit:?}"
                    ));
                    self.order_all(|| Order::Drain);
                    draining = Some(Instant::now() + limit);
                }
                Some(Event::Signal(signal)) => {
                    let open = self.shared.admission.count();
                    let how = if signal == SIGQUIT { "at once" } else { "at the second signal" };
                    announce(&format!("ending {how}; {open} connections are cut"));
                    self.order_all(|| Order::Cut);
                    draining = Some(Instant::now() + CUT_PATIENCE);
                }
                Some(Event::WorkerEnded { number, error }) => {
                    running -= 1;
                    if let Some(error) = error {
                        // Its connections hang, and so would those that the kernel goes on giving
                        // it. Whatever started us starts us again.
                        return Err(format!("worker {number} failed: {error}").into());
                    }
                }
                None if cut => return Err("a worker does not end".to_owned().into()),
                None => {
                    let open = self.shared.admission.count();
                    if draining.is_some_and(|deadline| deadline <= Instant::now()) && open > 0 {
                        announce(&format!("the time to drain is up; {open} connections are cut"));
                    }
                    self.order_all(|| Order::Cut);
                    draining = Some(Instant::now() + CUT_PATIENCE);
                    cut = true;
                }
            }
        }
        for worker in &mut self.workers {
            if let Some(thread) = worker.thread.take() {
                let _ = thread.join();
            }
        }
        announce("stopped");
        Ok(())
    }

    fn order_all(&self, order: impl Fn() -> Order) {
        for worker in &self.workers {
            worker.order(order());
        }
    }

    /// All or nothing: what can fail is done before anything changes (invariant 7).
    fn reload(&mut self, reload: &Reload) {
        match self.try_reload(reload) {
            Ok(notes) => {
                notes.iter().for_each(|note| announce(note));
                announce("configuration reloaded");
            }
            Err(problems) => {
                problems.iter().for_each(|problem| announce(&format!("[emerg] {problem}")));
                announce("configuration kept: the new one has problems");
            }
        }
    }

    fn try_reload(&mut self, reload: &Reload) -> Result<Vec<String>, Vec<String>> {
        let Loaded { config, warnings } = reload()
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let mut notes: Vec<_> = warnings.iter().map(|w| format!("[warn] {w}")).collect();
        let one = |problem: String| vec![problem];
        let sources = sources(&config, &mut notes).map_err(|problem| one(problem.to_string()))?;
        let (listeners, sockets) = listeners::bind_all(
            &config.listeners,
            self.workers.len(),
            &self.listeners,
            &mut self.next_key,
            &mut notes,
        )?;
        let log = Log::prepare(&config.log)
            .map_err(|error| one(format!("can't open the log: {error}")))?;
        let report = self
            .store
            .replace_sources(sources)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        if (config.workers, config.runtime) != (self.config.workers, self.config.runtime) {
            notes.push("[warn] workers and runtime change at the next start".into());
        }
        let snapshot = snapshot(&config, &self.store, &self.ticketer, &listeners);
        self.shared.snapshot.store(Arc::new(snapshot));
        set_admission(&self.shared.admission, &config.limits);
        for new in listeners.iter().filter(|l| !self.listeners.iter().any(|old| old.key == l.key)) {
            notes.push(new.words());
        }
        self.listeners = listeners;
        self.config = config;
        self.log.replace(log);
        let handle = self.log.handle();
        self.order_all(|| Order::Log(handle.clone()));
        self.hand_out(sockets);
        say_report(&handle, &report);
        self.watch.rescan();
        Ok(notes)
    }
}

impl Handle {
    fn order(&self, order: Order) {
        // A worker that has ended takes no orders.
        let _ = self.orders.send(order);
        self.ringer.ring();
    }
}

fn emerg(problems: &[certstore::Problem]) -> StartError {
    StartError(problems.iter().map(|problem| format!("[emerg] {problem}")).collect())
}

/// The files to watch; the development certificate for sites that name none.
fn sources(config: &Config, notes: &mut Vec<String>) -> Result<Vec<Source>, certstore::Problem> {
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
                names: site.names.clone(),
                default: index == 0,
            });
        }
        if site.certificates.is_empty() {
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
    Ok(Source { cert: files.cert, key: files.key, names, default })
}

fn snapshot(
    config: &Config,
    store: &Arc<Store>,
    ticketer: &Arc<dyn ProducesTickets>,
    listeners: &[Active],
) -> Snapshot {
    let resolver = Arc::new(Resolver(store.clone()));
    let ports = || listeners.iter().filter(|l| l.listen.tls).map(|l| l.address.port());
    let https_port = ports().find(|port| *port == 443).or_else(|| ports().next()).unwrap_or(443);
    Snapshot {
        routes: Routes::new(&config.sites),
        limits: config.limits.clone(),
        tls: tls::config::server(config.protocols, resolver, ticketer.clone()),
        redirect: Redirect::new(https_port),
        trusted_proxies: config.trusted_proxies.clone(),
        http: config.http.as_ref().map(|compiled| compiled.0.clone()),
    }
}

fn choose_rung(runtime: Runtime, notes: &mut Vec<String>) -> Result<Rung, StartError> {
    match runtime {
        Runtime::Exactly(rung) => match runtime::probe(rung) {
            Ok(()) => Ok(rung),
            Err(error) => Err(format!(
                "[emerg] runtime = \"{}\" can't be had here: {error}\n  \
                 hint: runtime = \"auto\" takes the best that this kernel allows",
                rung.word()
            )
            .into()),
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

fn start_workers(
    config: &Config,
    rung: Rung,
    shared: &Arc<Shared>,
    log: &log::Handle,
    events: &Sender<Event>,
) -> Result<Vec<Handle>, StartError> {
    let cores = crate::io::cpu::allowed();
    // With fewer workers than cores the kernel knows better which are free.
    let pinned = cores.len() == config.workers;
    let mut workers = Vec::new();
    for number in 0..config.workers {
        let failed = |error: io::Error| StartError::from(format!("can't start a worker: {error}"));
        let (ringer, bell) = notify::pair().map_err(failed)?;
        let (orders, inbox) = mpsc::channel();
        let start = Start {
            number,
            rung,
            shared: shared.clone(),
            log: log.clone(),
            orders: inbox,
            bell,
            tick: tick(&config.limits),
        };
        let core = cores.get(number).copied().filter(|_| pinned);
        let events = events.clone();
        let thread = std::thread::Builder::new()
            .name(format!("sheen-{number}"))
            .spawn(move || {
                if let Some(core) = core {
                    crate::io::cpu::pin(core);
                }
                let run = AssertUnwindSafe(|| worker::run(start));
                let error = match panic::catch_unwind(run) {
                    Ok(result) => result.err(),
                    Err(_) => Some(io::Error::other("it panicked; please report this as a bug")),
                };
                let _ = events.send(Event::WorkerEnded { number, error });
            })
            .map_err(failed)?;
        workers.push(Handle { orders, ringer, thread: Some(thread) });
    }
    Ok(workers)
}

/// How often deadlines are looked at: fine enough for the shortest of them, and never a burden.
fn tick(limits: &Limits) -> Duration {
    let t = &limits.timeouts;
    let shortest = [
        t.handshake,
        t.request_head,
        t.request_body,
        t.keep_alive,
        t.upstream_connect,
        t.upstream_answer,
        t.upstream_idle,
        t.send,
        t.tunnel_idle,
    ]
    .into_iter()
    .min()
    .unwrap_or(TICK_MAX);
    (shortest / 4).clamp(TICK_MIN, TICK_MAX)
}

fn set_admission(admission: &Admission, limits: &Limits) {
    // Two descriptors a connection, and some for listeners, logs, certificates and idle upstreams.
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let room = files.unwrap_or(u64::from(u32::MAX)).saturating_sub(FILES_RESERVED).max(16) / 2;
    let all = limits.connections_max.unwrap_or(u32::try_from(room).unwrap_or(u32::MAX)).max(1);
    let per_address = limits.connections_per_address_max.unwrap_or((all / 2).max(1));
    admission.set_limits(all, per_address);
}

/// The soft limit is for programs that use select(2); we don't.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Where it can't be raised the lower one counts: see `set_admission`.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// What an operator wants to see once, at start.
fn introduce(
    config: &Config,
    rung: Rung,
    notes: &[String],
    report: &certstore::Report,
    listeners: &[Active],
) {
    let workers = config.workers;
    let plural = if workers == 1 { "" } else { "s" };
    announce(&format!(
        "version {}, {workers} worker{plural} on {}",
        env!("CARGO_PKG_VERSION"),
        rung.word()
    ));
    report.changed.iter().for_each(|change| announce(&change.to_string()));
    report.warnings.iter().for_each(|warning| announce(&format!("[warn] {warning}")));
    notes.iter().for_each(|note| announce(note));
    listeners.iter().for_each(|active| announce(&active.words()));
}

/// What the certificate watch, or a reload, has to say.
fn say_report(log: &log::Handle, report: &certstore::Report) {
    report.changed.iter().for_each(|change| log.say(Level::Info, change));
    report.kept.iter().for_each(|problem| log.say(Level::Error, problem));
    report.warnings.iter().for_each(|warning| log.say(Level::Warn, warning));
}

/// A line for whoever started the process.
pub fn announce(words: &str) {
    eprintln!("sheen: {words}");
}

const TICK_MIN: Duration = Duration::from_millis(25);
const TICK_MAX: Duration = Duration::from_secs(1);
const FILES_RESERVED: u64 = 512;
/// For workers to end after a cut.
const CUT_PATIENCE: Duration = Duration::from_secs(5);
