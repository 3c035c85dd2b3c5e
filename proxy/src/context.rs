//! What a connection finds on its worker, and what all workers share.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::admission::Admission;
use crate::limits::Limits;
use crate::log;
use crate::redirect::Redirect;
use crate::route::Routes;
use crate::route::http::Http;
use crate::serve::Spare;
use crate::stage::Registry;
use crate::tls::config::Configs;
use crate::tls::ktls::Offload;
use crate::upstream::pool::Pool;
use crate::upstream::resolve::{Desk, Names};

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    pub snapshot: ArcSwap<Snapshot>,
    pub admission: Arc<Admission>,
    /// Numbers connections for the logs.
    pub connections: AtomicU64,
    /// Where names are looked up.
    pub desk: Desk,
}

/// A configuration as the data plane uses it. Complete when it is published (invariant 7).
#[derive(Debug)]
pub struct Snapshot {
    pub routes: Routes,
    pub limits: Limits,
    pub tls: Configs,
    /// What the kernel does of TLS.
    pub offload: Offload,
    pub redirect: Redirect,
    pub trusted_proxies: Vec<IpNet>,
    /// Servers as nginx.conf has them, in the place of `routes`.
    pub http: Option<Arc<Http>>,
}

/// A snapshot as the connections of one worker hold it. They count by themselves: a count that all
/// workers share would go from core to core with every exchange.
#[derive(Debug, Clone)]
pub struct Held(Rc<Holding>);

#[derive(Debug)]
struct Holding {
    snapshot: Arc<Snapshot>,
    http: Option<HeldHttp>,
}

/// [`Snapshot::http`] in the hands of one worker.
pub type HeldHttp = Rc<Arc<Http>>;

impl Held {
    fn new(snapshot: Arc<Snapshot>) -> Self {
        let http = snapshot.http.clone().map(Rc::new);
        Self(Rc::new(Holding { snapshot, http }))
    }

    pub fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    pub fn http(&self) -> Option<&HeldHttp> {
        self.0.http.as_ref()
    }
}

impl Deref for Held {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0.snapshot
    }
}

/// A worker, as its connections see it.
#[derive(Debug)]
pub struct Worker {
    pub shared: Arc<Shared>,
    held: RefCell<Held>,
    pub registry: Rc<Registry>,
    pub pool: Pool,
    pub names: Names,
    pub log: log::Sink,
    /// Where heads are written before they go in front of their body; used between two waits.
    pub scratch: RefCell<Vec<u8>>,
    /// What requests have used and others can use again.
    spares: RefCell<Vec<Spare>>,
    pub phase: Cell<Phase>,
    live: Cell<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Running,
    /// No new connections, no second request on an old one.
    Draining,
    Ended,
}

impl Worker {
    pub fn new(shared: Arc<Shared>, log: log::Handle, tick: Duration) -> Rc<Self> {
        Rc::new(Self {
            registry: Registry::new(tick),
            pool: Pool::default(),
            names: Names::default(),
            log: log::Sink::new(log),
            scratch: RefCell::new(Vec::new()),
            spares: RefCell::new(Vec::new()),
            phase: Cell::new(Phase::Running),
            live: Cell::new(0),
            held: RefCell::new(Held::new(shared.snapshot.load_full())),
            shared,
        })
    }

    /// What is published. While that is what it was, nothing is touched that other workers touch.
    pub fn snapshot(&self) -> Held {
        let published = self.shared.snapshot.load();
        let mut held = self.held.borrow_mut();
        if !Arc::ptr_eq(&published, &held.0.snapshot) {
            *held = Held::new(Arc::clone(&published));
        }
        held.clone()
    }

    pub fn is_draining(&self) -> bool {
        self.phase.get() != Phase::Running
    }

    /// What a request can use; [`Worker::give_back`] takes it when that is over.
    pub fn lend(&self) -> Spare {
        self.spares.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps what a request has used for another one.
    pub fn give_back(&self, spare: Spare) {
        let mut spares = self.spares.borrow_mut();
        if spares.len() < SPARES_MAX && spare.is_small() {
            spares.push(spare);
        }
    }

    /// Connections and listeners that have not ended.
    pub fn live(&self) -> usize {
        self.live.get()
    }
}

/// Keeps a connection, or a listener, counted while it lives.
#[derive(Debug)]
pub struct Live(Rc<Worker>);

impl Live {
    pub fn new(worker: &Rc<Worker>) -> Self {
        worker.live.set(worker.live.get() + 1);
        Self(worker.clone())
    }

    pub fn worker(&self) -> &Worker {
        &self.0
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.set(self.0.live.get() - 1);
    }
}

/// Requests of one worker that are under way at once, most of the time.
const SPARES_MAX: usize = 64;
