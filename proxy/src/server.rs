//! The process: start, signals, reload, upgrade, end.
//!
//! ```text
//!             WINCH                       QUIT              TERM, INT
//!   Serving ─────────> Resting   either ──────> Ending   any ─────────> Ending, at once
//!      ^                  │
//!      └── HUP, or the ───┘
//!          heir has ended
//! ```

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use arc_swap::ArcSwap;
use certstore::{Store, tickets, watch};
use rustix::process::Pid;
use rustls::server::ProducesTickets;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::Signals;

use crate::admission::Admission;
use crate::config::native::Loaded;
use crate::config::{Config, Level, Problem, Rung};
use crate::context::Shared;
use crate::crew::{Crew, Ended, Overdue};
use crate::errno;
use crate::life::daemon::{self, Starter};
use crate::life::pidfile::PidFile;
use crate::life::privileges::Privileges;
use crate::life::upgrade::{self, Legacy};
use crate::life::voice::{self, Voice, announce};
use crate::limits::BIND_TRIES;
use crate::listeners::{self, Active, Known};
use crate::log::Log;
use crate::prepare;
use crate::upstream::resolve::Desk;
use crate::worker::Queue;

mod reload;

/// Makes the configuration anew at every SIGHUP.
pub type Reload = Box<dyn Fn() -> Result<Loaded, Vec<Problem>>>;

/// What was before this process.
#[derive(Debug)]
pub struct Origin {
    /// Who waits for us to be ready in the background.
    pub starter: Option<Starter>,
    pub legacy: Legacy,
}

/// Why sheen did not start, or did not end well. Everything in it is for the user.
#[derive(Debug)]
pub struct StartError(pub Vec<String>);

impl From<String> for StartError {
    fn from(words: String) -> Self {
        Self(vec![words])
    }
}

/// Runs until a signal ends it.
///
/// Errors: what keeps it from starting, all that can be said at once; later, a worker that failed.
pub fn run(config: Config, reload: Reload, origin: Origin) -> Result<(), StartError> {
    let Origin { starter, legacy } = origin;
    // Whoever sees the sockets may send these already, and they would end a process that is not ready
    // for them.
    let signals = Signals::new([SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH]).map_err(unheard)?;
    let mut server = Server::start(config, legacy)?;
    let result = server.appear(starter, signals).and_then(|()| server.serve(&reload));
    server.leave();
    Ok(result?)
}

#[derive(Debug)]
enum Event {
    Signal(i32),
    WorkerEnded(Ended),
    HeirEnded(Option<ExitStatus>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// The workers end, the sockets stay open: another process accepts, or nobody.
    Resting,
    Ending,
}

struct Server {
    config: Config,
    phase: Phase,
    rung: Rung,
    /// How many there are; a reload changes nothing about it.
    workers: usize,
    shared: Arc<Shared>,
    store: Arc<Store>,
    watch: watch::Watch,
    ticketer: Arc<dyn ProducesTickets>,
    log: Log,
    voice: Voice,
    privileges: Privileges,
    listeners: Vec<Active>,
    next_key: usize,
    crew: Crew,
    pid_file: Option<PidFile>,
    /// The file of the next binary; an error where it can't be found.
    program: Result<PathBuf, String>,
    predecessor: Option<Pid>,
    /// The process of the next binary, while it lives.
    heir: Option<u32>,
    events: Sender<Event>,
    inbox: Receiver<Event>,
}

impl Server {
    /// Everything but the pid file. Until privileges are given up there is one thread alone.
    fn start(config: Config, legacy: Legacy) -> Result<Self, StartError> {
        let (mut notes, mut warnings) = (Vec::new(), Vec::new());
        prepare::set_file_limit(&config, &mut warnings);
        let (rung, offload) = prepare::kernel(&config, &mut notes)?;
        let emerg = |problems: Vec<certstore::Problem>| StartError(texts(&problems));
        let sources =
            prepare::sources(&config, &mut notes).map_err(|problem| emerg(vec![problem]))?;
        let (store, report) = Store::open(sources).map_err(emerg)?;
        let ids = prepare::user(&config, &mut warnings)?;
        let mut logs = Log::prepare(&config.log).map_err(|error| error.to_string())?;
        let Legacy { sockets: inherited, predecessor } = legacy;
        let known = Known { active: Vec::new(), inherited };
        let (workers, mut next_key) = (config.workers, 0);
        let (wanted, next) = (&config.listeners, &mut next_key);
        let listeners = listeners::bind_all(wanted, workers, BIND_TRIES, known, next, &mut notes)
            .inspect_err(|problems| logs.lament(problems))
            .map_err(StartError)?;
        let mut privileges = Privileges::Whole;
        if let Some(ids) = ids {
            logs.files().try_for_each(|file| ids.own(file)).map_err(|e| e.to_string())?;
            privileges = ids.become_them()?;
        }
        let log = privileges.without(|| Log::start(logs));
        let log = log.map_err(|error| format!("can't start the log: {error}"))?;
        let voice = Voice::new(log.handle(), &config.log, !config.process.daemon);
        let ticketer = tickets::ticketer();
        let snapshot = prepare::snapshot(&config, &store, &ticketer, &listeners, offload);
        let admission = Admission::new();
        prepare::set_admission(&admission, &config.limits);
        let shared = Arc::new(Shared {
            snapshot: ArcSwap::from_pointee(snapshot),
            admission,
            connections: AtomicU64::new(0),
            desk: Desk::default(),
        });
        warnings.iter().for_each(|warning| announce(Level::Warn, warning));
        voice::introduce(&voice, &config, rung, &notes, &report, &listeners);
        let said = log.handle();
        let watched = store.clone();
        let watch = privileges.lasting_only(move || {
            watch::spawn(watched, move |report| voice::say_report(&said, &report))
        });
        let (events, inbox) = mpsc::channel();
        let mut server = Self {
            config,
            phase: Phase::Serving,
            rung,
            workers,
            shared,
            store,
            watch,
            ticketer,
            log,
            voice,
            privileges,
            listeners,
            next_key,
            crew: Crew::default(),
            pid_file: None,
            program: upgrade::program().map_err(|error| error.to_string()),
            predecessor,
            heir: None,
            events,
            inbox,
        };
        server.start_workers()?;
        Ok(server)
    }

    /// Receives signals, writes the pid file, and says that it is ready.
    fn appear(&mut self, starter: Option<Starter>, mut signals: Signals) -> Result<(), String> {
        for signal in [SIGTERM, SIGINT, SIGQUIT] {
            signals.add_signal(signal).map_err(unheard)?;
        }
        let events = self.events.clone();
        let listen = move || {
            std::thread::Builder::new().name("sheen-signals".into()).spawn(move || {
                let mut signals = signals.forever();
                while signals.next().is_some_and(|s| events.send(Event::Signal(s)).is_ok()) {}
            })
        };
        self.privileges.without(listen).map_err(unheard)?;
        if let Some(path) = &self.config.process.pid {
            self.pid_file = Some(self.privileges.raised(|| PidFile::write(path))?);
        }
        self.say("ready");
        if self.config.process.daemon {
            daemon::silence().map_err(|error| format!("can't leave the terminal: {error}"))?;
        }
        if let Some(starter) = starter {
            starter.ready();
        }
        Ok(())
    }

    fn start_workers(&mut self) -> Result<(), String> {
        let Self { crew, config, rung, shared, log, events, .. } = self;
        let failed = |error| format!("can't start a worker: {error}");
        let hands = listeners::deal(&self.listeners, self.workers, |_| true).map_err(failed)?;
        let (log, events) = (log.handle(), events.clone());
        // Whoever is not there to hear it has ended too.
        let ended = move |ended| drop(events.send(Event::WorkerEnded(ended)));
        let start = || crew.start(config, *rung, shared, &log, hands, ended);
        self.privileges.without(start).map_err(failed)?;
        self.phase = Phase::Serving;
        Ok(())
    }

    /// Errors: a worker has failed, or does not end when it is told to.
    fn serve(&mut self, reload: &Reload) -> Result<(), String> {
        while self.phase != Phase::Ending || !self.crew.is_empty() {
            let event = match self.crew.deadline() {
                None => self.inbox.recv().ok(),
                Some(deadline) => {
                    self.inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()
                }
            };
            match event {
                Some(Event::Signal(SIGTERM | SIGINT)) => self.end_at_once(),
                Some(Event::Signal(SIGQUIT)) => self.end(),
                Some(Event::Signal(SIGHUP)) => self.hang_up(reload)?,
                Some(Event::Signal(SIGUSR1)) => self.reopen_logs(),
                Some(Event::Signal(SIGUSR2)) => self.upgrade(),
                Some(Event::Signal(SIGWINCH)) => self.rest(),
                Some(Event::Signal(_)) => {}
                Some(Event::WorkerEnded(Ended { number, error: Some(error) })) => {
                    // Its connections hang, and so would those that the kernel goes on giving it.
                    // Whatever started us starts us again.
                    return Err(format!("worker {number} failed: {error}"));
                }
                Some(Event::WorkerEnded(Ended { number, error: None })) => {
                    self.crew.forget(number);
                }
                Some(Event::HeirEnded(status)) => self.heir_ended(status)?,
                None => self.look_after_workers()?,
            }
        }
        self.say("stopped");
        Ok(())
    }

    fn end_at_once(&mut self) {
        self.say(format_args!("ending at once; {} connections are cut", self.open()));
        self.stop_listening();
        self.crew.cut();
        self.phase = Phase::Ending;
    }

    fn end(&mut self) {
        if self.phase == Phase::Ending {
            return;
        }
        let limit = self.config.limits.timeouts.drain;
        let open = self.open();
        self.say(format_args!("shutting down; {open} connections may end within {limit:?}"));
        let queue = if self.shares_sockets() { Queue::Leave } else { Queue::Take };
        self.stop_listening();
        self.crew.drain(limit, queue);
        self.phase = Phase::Ending;
    }

    fn hang_up(&mut self, reload: &Reload) -> Result<(), String> {
        match self.phase {
            Phase::Ending => self.say("not reloading: shutting down"),
            // The way back from an upgrade: what ran before runs again.
            Phase::Resting if self.heir.is_some() => {
                self.say("starting new workers");
                self.start_workers()?;
            }
            Phase::Resting => {
                self.reload(reload);
                self.start_workers()?;
            }
            Phase::Serving => self.reload(reload),
        }
        Ok(())
    }

    /// WINCH, which a terminal also sends when its window changes: it means something in the
    /// background, or during an upgrade.
    fn rest(&mut self) {
        let meant = self.config.process.daemon || self.heir.is_some();
        if self.phase == Phase::Serving && meant {
            let open = self.open();
            self.say(format_args!("accepting no more; {open} connections may end"));
            self.crew.drain(self.config.limits.timeouts.drain, Queue::Leave);
            self.phase = Phase::Resting;
        }
    }

    fn reopen_logs(&mut self) {
        match self.privileges.raised(|| Log::prepare(&self.config.log)) {
            Ok(logs) => self.log.replace(logs),
            // What can't be opened goes on to the old file.
            Err(error) => {
                self.voice.say(Level::Emerg, format_args!("can't reopen the logs: {error}"))
            }
        }
    }

    fn upgrade(&mut self) {
        if self.phase == Phase::Ending || self.heir.is_some() || upgrade::is_alive(self.predecessor)
        {
            return self.say("not upgrading: another process runs beside this one");
        }
        let privileges = self.privileges;
        if let Err(words) = privileges.raised(|| self.try_upgrade()) {
            self.voice.say(Level::Alert, format_args!("not upgraded: {words}"));
        }
    }

    fn try_upgrade(&mut self) -> Result<(), String> {
        let program = self.program.clone()?;
        if let Some(file) = &mut self.pid_file {
            file.make_way()?;
        }
        let sockets = self.listeners.iter().flat_map(|listener| listener.sockets.iter());
        // In the background its first words would be lost.
        let voice = Some(&self.voice).filter(|_| self.config.process.daemon);
        let events = self.events.clone();
        let ended = move |status| drop(events.send(Event::HeirEnded(status)));
        match upgrade::start(&program, sockets, self.privileges, voice, ended) {
            Ok(pid) => {
                self.say(format_args!("started new binary process {pid}"));
                self.heir = Some(pid);
                Ok(())
            }
            Err(error) => {
                if let Some(file) = &mut self.pid_file {
                    file.come_back()?;
                }
                let program = program.display();
                Err(format!("execve() failed while executing {program} ({})", errno::words(&error)))
            }
        }
    }

    fn heir_ended(&mut self, status: Option<ExitStatus>) -> Result<(), String> {
        let pid = self.heir.take().unwrap_or_default();
        let how = status.map(|status| status.to_string()).unwrap_or_default();
        self.voice.say(Level::Alert, format_args!("new binary process {pid} ended, {how}"));
        if let Some(file) = &mut self.pid_file
            && let Err(words) = self.privileges.raised(|| file.come_back())
        {
            self.voice.say(Level::Alert, words);
        }
        if self.phase == Phase::Resting {
            self.say("starting new workers");
            self.start_workers()?;
        }
        Ok(())
    }

    fn look_after_workers(&mut self) -> Result<(), String> {
        let open = self.open();
        match self.crew.look_after(Instant::now()) {
            Overdue::No => Ok(()),
            Overdue::Cut => {
                if open > 0 {
                    self.say(format_args!("the time to drain is up; {open} connections are cut"));
                }
                Ok(())
            }
            Overdue::Stuck => Err("a worker does not end".to_owned()),
        }
    }

    /// True exactly when another process listens on our sockets.
    fn shares_sockets(&self) -> bool {
        self.heir.is_some() || upgrade::is_alive(self.predecessor)
    }

    fn stop_listening(&mut self) {
        let ours_alone = !self.shares_sockets();
        for listener in self.listeners.drain(..).filter(|_| ours_alone) {
            self.privileges.raised(|| listener.unlink());
        }
    }

    /// The last deed: nothing of ours stays in the file system.
    fn leave(&mut self) {
        self.stop_listening();
        if let Some(file) = self.pid_file.take() {
            self.privileges.raised(|| file.remove());
        }
    }

    fn open(&self) -> u32 {
        self.shared.admission.count()
    }

    fn say(&self, words: impl Display) {
        self.voice.say(Level::Notice, words);
    }
}

fn unheard(error: io::Error) -> String {
    format!("can't receive signals: {error}")
}

fn texts<T: ToString>(problems: &[T]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}
