//! The load: connections that keep each other company on one thread.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::Resumption;

use crate::link::Link;
use crate::poll::{Poll, Slots};
use crate::talk::{Next, Stats, Step, Talk, Work};

#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) to: SocketAddr,
    pub(crate) tls: Tls,
    /// At one time.
    pub(crate) connections: usize,
    pub(crate) work: Work,
    pub(crate) pace: Pace,
}

/// When the next thing is said.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As soon as the last one is answered.
    Eager,
    /// So many requests, messages or connections a second in all, whatever the answers do. One that
    /// falls due while everybody still waits for an answer is left out.
    Steady(f64),
}

/// How connections begin.
#[derive(Debug, Clone)]
pub(crate) enum Tls {
    None,
    /// Every handshake is a full one.
    Full(ClientConfig),
    /// A connection resumes what the one before it in its place began.
    Resumed(ClientConfig),
}

pub(crate) struct Load {
    plan: Plan,
    poll: Poll,
    talks: Slots<Talk>,
    timers: BinaryHeap<Reverse<(Instant, Timer)>>,
    /// A connection and its successors have one place.
    places: Vec<Place>,
    /// Places that no connection has been opened for.
    unopened: usize,
    /// Connections without an answer so far.
    pending: usize,
    /// Places between two arrivals.
    resting: Vec<usize>,
    /// Places that have had what they were opened for.
    ready: usize,
    stats: Stats,
    /// The last failure, in words.
    complaint: Option<String>,
    scratch: Vec<u8>,
}

#[derive(Debug, Default)]
struct Place {
    config: Option<Arc<ClientConfig>>,
    ready: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Message(u64),
    Open(usize),
    /// A connection comes because it is time, not because another one went.
    Arrival,
}

impl Plan {
    /// The time between two connections, where it is they that come at a pace.
    fn arrivals(&self) -> Option<Duration> {
        match (self.pace, &self.work) {
            (Pace::Steady(rate), Work::Get { one_each: true, .. }) => {
                Some(Duration::from_secs_f64(1.0 / rate))
            }
            _ => None,
        }
    }

    /// The time between two things said on one connection, where it is they that come at a pace.
    fn beat(&self) -> Option<Duration> {
        match (self.pace, &self.work) {
            (_, Work::Sessions { .. }) => Some(MESSAGE_EVERY),
            (Pace::Steady(rate), _) if self.arrivals().is_none() => {
                Some(Duration::from_secs_f64(self.connections as f64 / rate))
            }
            _ => None,
        }
    }
}

impl Load {
    pub(crate) fn new(plan: Plan) -> io::Result<Self> {
        let (mut timers, mut places) = (BinaryHeap::new(), Vec::new());
        let arrivals = plan.arrivals().is_some();
        if arrivals {
            timers.push(Reverse((Instant::now(), Timer::Arrival)));
            places.resize_with(plan.connections, Place::default);
        }
        Ok(Self {
            poll: Poll::new()?,
            talks: Slots::default(),
            timers,
            resting: (0..places.len()).collect(),
            places,
            unopened: if arrivals { 0 } else { plan.connections },
            pending: 0,
            ready: 0,
            stats: Stats::default(),
            complaint: None,
            scratch: vec![0; SCRATCH_BYTES],
            plan,
        })
    }

    /// Opens that many more connections.
    pub(crate) fn grow(&mut self, connections: usize) {
        self.plan.connections += connections;
        self.unopened += connections;
    }

    /// Runs until every connection has had an answer.
    ///
    /// Errors: what was wrong with those that had none in time.
    pub(crate) fn settle(&mut self) -> Result<(), String> {
        let end = Instant::now() + SETTLE_MAX;
        while self.ready < self.plan.connections {
            self.run_for(Duration::from_millis(20))?;
            if Instant::now() > end {
                let (done, all) = (self.ready, self.plan.connections);
                let why = self.complaint.as_deref().unwrap_or("no answer");
                return Err(format!("{done} of {all} connections after {SETTLE_MAX:?}: {why}"));
            }
        }
        Ok(())
    }

    /// Errors: nothing but failures.
    pub(crate) fn run_for(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        let mut turn = Vec::new();
        loop {
            self.open_some();
            let now = Instant::now();
            if now >= end {
                break;
            }
            let due = self.timers.peek().map_or(end, |Reverse((due, _))| (*due).min(end));
            let wait = due.saturating_duration_since(now);
            self.poll.wait(Some(wait), &mut turn).map_err(|error| format!("epoll: {error}"))?;
            for (key, readable) in turn.drain(..) {
                self.on_event(key, readable);
            }
            self.on_timers();
        }
        let stats = &self.stats;
        if stats.failed > FAILURES_MAX && stats.exchanges + stats.messages == 0 {
            let why = self.complaint.as_deref().unwrap_or("unknown");
            return Err(format!("{} failures and no answer: {why}", stats.failed));
        }
        Ok(())
    }

    /// What happened since the last call.
    pub(crate) fn take_stats(&mut self) -> Stats {
        std::mem::take(&mut self.stats)
    }

    pub(crate) fn complaint(&self) -> Option<&str> {
        self.complaint.as_deref()
    }

    fn open_some(&mut self) {
        while self.unopened > 0 && self.pending < PENDING_MAX {
            self.unopened -= 1;
            let slot = self.places.len();
            self.places.push(Place::default());
            self.open(slot, self.first_step());
        }
    }

    fn first_step(&self) -> Step {
        match self.plan.work {
            Work::Get { .. } => Step::Request,
            Work::Upload { bytes } => Step::Upload { left: bytes },
            Work::Echo { .. } | Work::Idle => Step::Upgrade,
            Work::Sessions { .. } => Step::Asset(0),
        }
    }

    fn open(&mut self, slot: usize, step: Step) {
        self.pending += 1;
        let config = self.config(slot, step);
        let opened = Link::connect(self.plan.to, config.as_ref()).and_then(|link| {
            let key = self.talks.reserve();
            self.poll.add(link.socket(), key)?;
            let paced = self.plan.beat().is_some();
            Ok((key, Talk::begin(link, slot, step, paced, &self.plan.work)?))
        });
        match opened {
            Ok((key, talk)) => self.talks.put(key, talk),
            Err(error) => {
                self.pending -= 1;
                self.stats.failed += 1;
                self.fail(slot, error.to_string());
            }
        }
    }

    fn config(&mut self, slot: usize, step: Step) -> Option<Arc<ClientConfig>> {
        let place = &mut self.places[slot].config;
        match &self.plan.tls {
            Tls::None => None,
            Tls::Full(config) => {
                Some(place.get_or_insert_with(|| Arc::new(config.clone())).clone())
            }
            Tls::Resumed(config) => {
                // A new user knows no session of the one before.
                if place.is_none() || step == Step::Asset(0) {
                    let mut own = config.clone();
                    own.resumption = Resumption::in_memory_sessions(SESSIONS_KEPT);
                    *place = Some(Arc::new(own));
                }
                place.clone()
            }
        }
    }

    fn on_event(&mut self, key: u64, readable: bool) {
        let Some(mut talk) = self.talks.take(key) else { return };
        let (fresh, websocket) = (!talk.established, talk.is_websocket());
        let work = &self.plan.work;
        let result = talk.go_on(readable, &mut self.scratch, work, &mut self.stats);
        if fresh && talk.established {
            self.pending -= 1;
        }
        match result {
            Ok(Next::Stay) => {
                match self.plan.work {
                    Work::Sessions { life } if !websocket && talk.step == Step::Live => {
                        self.go_live(key, &mut talk, life);
                    }
                    Work::Sessions { .. } => {}
                    _ if fresh && talk.established => self.begin_beat(key, &talk),
                    _ => {}
                }
                self.is_ready(&talk);
                self.talks.put(key, talk);
            }
            Ok(Next::Replace(step)) => {
                self.is_ready(&talk);
                self.replace(key, talk, step);
            }
            Err(error) => {
                self.pending -= usize::from(fresh && !talk.established);
                if talk.is_websocket() {
                    self.stats.closed += 1;
                } else {
                    self.stats.failed += 1;
                }
                self.talks.retire(key);
                self.fail(talk.slot, error.to_string());
            }
        }
    }

    fn replace(&mut self, key: u64, talk: Talk, step: Step) {
        let slot = talk.slot;
        self.talks.retire(key);
        talk.link.close();
        if self.plan.arrivals().is_some() {
            self.resting.push(slot);
        } else {
            self.open(slot, step);
        }
    }

    fn is_ready(&mut self, talk: &Talk) {
        let place = &mut self.places[talk.slot];
        let browsing = matches!(self.plan.work, Work::Sessions { .. }) && !talk.is_websocket();
        if talk.established && !place.ready && !browsing {
            place.ready = true;
            self.ready += 1;
        }
    }

    /// A session's WebSocket stands: messages from now on.
    fn go_live(&mut self, key: u64, talk: &mut Talk, life: Duration) {
        // The first generation ends one by one.
        let first = !self.places[talk.slot].ready;
        let part = (talk.slot + 1) as f64 / self.plan.connections as f64;
        talk.until = Some(Instant::now() + if first { life.mul_f64(part) } else { life });
        self.begin_beat(key, talk);
    }

    /// In every place at another part of the time between two beats.
    fn begin_beat(&mut self, key: u64, talk: &Talk) {
        let Some(beat) = self.plan.beat() else { return };
        let part = (talk.slot as f64 * 0.037).fract();
        self.timers.push(Reverse((Instant::now() + beat.mul_f64(part), Timer::Message(key))));
    }

    fn on_timers(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((due, timer))) = self.timers.peek().copied() {
            if due > now {
                return;
            }
            self.timers.pop();
            match timer {
                Timer::Open(slot) => self.open(slot, self.first_step()),
                Timer::Message(key) => self.on_beat(key, due, now),
                Timer::Arrival => {
                    if let Some(slot) = self.resting.pop() {
                        self.open(slot, self.first_step());
                    }
                    let next = self.plan.arrivals().unwrap_or(MESSAGE_EVERY);
                    self.timers.push(Reverse((due + next, Timer::Arrival)));
                }
            }
        }
    }

    fn on_beat(&mut self, key: u64, due: Instant, now: Instant) {
        let Some(mut talk) = self.talks.take(key) else { return };
        if talk.until.is_some_and(|until| now >= until) {
            self.replace(key, talk, Step::Asset(0));
            return;
        }
        // Nothing is said before the last thing was answered; a failure shows as an event.
        if !talk.is_waiting() {
            let _ = talk.say(&self.plan.work);
        }
        self.talks.put(key, talk);
        let beat = self.plan.beat().unwrap_or(MESSAGE_EVERY);
        self.timers.push(Reverse((due + beat, Timer::Message(key))));
    }

    fn fail(&mut self, slot: usize, why: String) {
        self.complaint = Some(why);
        if self.plan.arrivals().is_some() {
            self.resting.push(slot);
            return;
        }
        self.timers.push(Reverse((Instant::now() + REOPEN_AFTER, Timer::Open(slot))));
    }
}

const SCRATCH_BYTES: usize = 256 * 1024;
/// Connections that are being made at one time.
const PENDING_MAX: usize = 64;
const SESSIONS_KEPT: usize = 4;
const SETTLE_MAX: Duration = Duration::from_secs(30);
const FAILURES_MAX: u64 = 100;
const REOPEN_AFTER: Duration = Duration::from_millis(50);
const MESSAGE_EVERY: Duration = Duration::from_secs(1);
