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
    pub(crate) connections: usize,
    pub(crate) work: Work,
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
}

impl Load {
    pub(crate) fn new(plan: Plan) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            talks: Slots::default(),
            timers: BinaryHeap::new(),
            places: Vec::new(),
            unopened: plan.connections,
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
            Ok((key, Talk::begin(link, slot, step, &self.plan.work)?))
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
                if !websocket && talk.step == Step::Live {
                    self.go_live(key, &mut talk);
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
        self.open(slot, step);
    }

    fn is_ready(&mut self, talk: &Talk) {
        let place = &mut self.places[talk.slot];
        let browsing = matches!(self.plan.work, Work::Sessions { .. }) && !talk.is_websocket();
        if talk.established && !place.ready && !browsing {
            place.ready = true;
            self.ready += 1;
        }
    }

    /// A session's WebSocket stands: messages from now on, in every place at another part of the second.
    fn go_live(&mut self, key: u64, talk: &mut Talk) {
        let Work::Sessions { life } = self.plan.work else { return };
        let now = Instant::now();
        // The first generation ends one by one.
        let first = !self.places[talk.slot].ready;
        let part = (talk.slot + 1) as f64 / self.plan.connections as f64;
        talk.until = now + if first { life.mul_f64(part) } else { life };
        let begin = Duration::from_millis((talk.slot as u64 * 37) % 1000);
        self.timers.push(Reverse((now + begin, Timer::Message(key))));
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
                Timer::Message(key) => {
                    let Some(mut talk) = self.talks.take(key) else { continue };
                    if now >= talk.until {
                        self.replace(key, talk, Step::Asset(0));
                        continue;
                    }
                    // A message is not sent before the last one was answered; a failure shows as an event.
                    if !talk.is_waiting() {
                        let _ = talk.say(&self.plan.work);
                    }
                    self.talks.put(key, talk);
                    self.timers.push(Reverse((due + MESSAGE_EVERY, Timer::Message(key))));
                }
            }
        }
    }

    fn fail(&mut self, slot: usize, why: String) {
        self.complaint = Some(why);
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
