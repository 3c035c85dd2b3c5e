//! What a connection waits for: its deadline, its words in the log, and who is to blame when
//! nothing comes.
//!
//! Deadlines cost no timer per connection. Each end of a connection has a [`Watch`]; one sweep per
//! worker and tick ([`Registry::sweep`]) wakes those whose time is up.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use crate::fault::{Cause, Fault, Side};

/// What one end of a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Accept,
    ReadProxyHeader,
    Handshake,
    /// For the first one of a connection.
    WaitForRequest,
    /// For a further one.
    KeepAlive,
    ReadRequestHead,
    ReadRequestBody,
    Route,
    ConnectUpstream,
    SendRequest,
    ReadAnswerHead,
    ReadAnswerBody,
    SendAnswer,
    Tunnel,
    Linger,
}

impl Stage {
    /// The words after "while" in the error log.
    pub fn words(self) -> &'static str {
        match self {
            Self::Accept => "waiting for connections",
            Self::ReadProxyHeader => "reading PROXY protocol",
            Self::Handshake => "SSL handshaking",
            Self::WaitForRequest => "waiting for request",
            Self::KeepAlive => "keepalive",
            Self::ReadRequestHead => "reading client request headers",
            Self::ReadRequestBody => "reading client request body",
            Self::Route => "choosing the app for the request",
            Self::ConnectUpstream => "connecting to upstream",
            Self::SendRequest => "sending request to upstream",
            Self::ReadAnswerHead => "reading response header from upstream",
            Self::ReadAnswerBody => "reading upstream",
            Self::SendAnswer => "sending to client",
            Self::Tunnel => "proxying upgraded connection",
            Self::Linger => "closing request",
        }
    }

    /// The call that fails when the connection does, in nginx's words.
    pub fn call(self) -> &'static str {
        match self {
            Self::Accept => "accept()",
            Self::Route => "socket()",
            Self::ConnectUpstream => "connect()",
            Self::SendRequest | Self::SendAnswer => "send()",
            Self::ReadProxyHeader
            | Self::Handshake
            | Self::WaitForRequest
            | Self::KeepAlive
            | Self::ReadRequestHead
            | Self::ReadRequestBody
            | Self::ReadAnswerHead
            | Self::ReadAnswerBody
            | Self::Tunnel
            | Self::Linger => "recv()",
        }
    }

    /// Waiting for the request after so many.
    pub fn before_request(served: u64) -> Self {
        if served == 0 { Self::WaitForRequest } else { Self::KeepAlive }
    }

    /// Whom this stage waits for.
    pub fn side(self) -> Side {
        match self {
            Self::ReadProxyHeader
            | Self::Handshake
            | Self::WaitForRequest
            | Self::KeepAlive
            | Self::ReadRequestHead
            | Self::ReadRequestBody
            | Self::SendAnswer
            | Self::Linger => Side::Client,
            Self::ConnectUpstream
            | Self::SendRequest
            | Self::ReadAnswerHead
            | Self::ReadAnswerBody => Side::Upstream,
            Self::Accept | Self::Route | Self::Tunnel => Side::Sheen,
        }
    }
}

/// Why a wait ended before what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    Deadline,
    /// The worker drains: connections between two requests end.
    Drain,
    /// The worker ends: every connection ends.
    Cut,
}

/// The watches of one worker, and its coarse clock.
#[derive(Debug)]
pub struct Registry {
    entries: RefCell<Slab<Rc<Entry>>>,
    now_ms: Cell<u64>,
    sweeps: Cell<u32>,
    /// Longest time between two sweeps; deadlines are this much late at most.
    tick_ms: u64,
}

#[derive(Debug)]
struct Entry {
    deadline_ms: Cell<u64>,
    stage: Cell<Stage>,
    interrupt: Cell<Option<Interrupt>>,
    /// True exactly when the waiting task wants to look around at every sweep.
    probing: Cell<bool>,
    /// Waits that are pending: both halves of an exchange may wait on one end at a time.
    waits: Cell<u32>,
    /// The task that owns this end, from its first wait on.
    waker: RefCell<Option<Waker>>,
}

impl Registry {
    pub fn new(tick: Duration) -> Rc<Self> {
        Rc::new(Self {
            entries: RefCell::new(Slab::new()),
            now_ms: Cell::new(0),
            sweeps: Cell::new(0),
            tick_ms: tick.as_millis() as u64,
        })
    }

    pub fn tick(&self) -> Duration {
        Duration::from_millis(self.tick_ms)
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    pub fn watch(self: &Rc<Self>) -> Watch {
        let entry = Rc::new(Entry {
            deadline_ms: Cell::new(u64::MAX),
            stage: Cell::new(Stage::Route),
            interrupt: Cell::new(None),
            probing: Cell::new(false),
            waits: Cell::new(0),
            waker: RefCell::new(None),
        });
        let key = self.entries.borrow_mut().insert(entry.clone());
        Watch { registry: self.clone(), entry, key }
    }

    /// Moves the clock and wakes every wait whose deadline has passed.
    pub fn sweep(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
        self.sweeps.set(self.sweeps.get().wrapping_add(1));
        for (_, entry) in self.entries.borrow().iter() {
            if entry.deadline_ms.get() <= now_ms {
                entry.fire(Interrupt::Deadline);
            } else if entry.probing.get() {
                entry.wake();
            }
        }
    }

    /// Ends the waits of connections that are between two requests. Those that wait for their first
    /// one, which may be on its way, have `grace` for it.
    pub fn interrupt_idle(&self, grace: Duration) {
        let grace_ms = self.now_ms.get() + self.tick_ms + grace.as_millis() as u64;
        for (_, entry) in self.entries.borrow().iter() {
            match entry.stage.get() {
                Stage::KeepAlive => entry.fire(Interrupt::Drain),
                Stage::WaitForRequest => {
                    entry.deadline_ms.set(entry.deadline_ms.get().min(grace_ms));
                }
                _ => {}
            }
        }
    }

    /// Ends every wait, those that begin later included.
    pub fn interrupt_all(&self) {
        for (_, entry) in self.entries.borrow().iter() {
            entry.fire(Interrupt::Cut);
        }
    }
}

impl Entry {
    fn fire(&self, interrupt: Interrupt) {
        // A cut stays; a deadline or a drain concerns only a wait that is pending.
        let pending = self.waits.get() > 0 && self.interrupt.get().is_none();
        if pending || interrupt == Interrupt::Cut {
            self.interrupt.set(Some(interrupt));
        }
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }
}

/// The deadline of one end of a connection.
#[derive(Debug)]
pub struct Watch {
    registry: Rc<Registry>,
    entry: Rc<Entry>,
    key: usize,
}

impl Watch {
    /// What this end waits for, or last waited for.
    pub fn stage(&self) -> Stage {
        self.entry.stage.get()
    }

    /// Begins a step that must be over after `limit`, however many waits it takes.
    pub fn enter(&self, stage: Stage, limit: Duration) {
        self.entry.stage.set(stage);
        self.postpone(limit);
    }

    /// Moves the deadline of the running step to `limit` from now.
    pub fn postpone(&self, limit: Duration) {
        let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        // The clock may be one tick old: better late than early.
        let after_ms = limit_ms.saturating_add(self.registry.tick_ms);
        self.entry.deadline_ms.set(self.registry.now_ms.get().saturating_add(after_ms));
    }

    /// A watch for a wait that may fall into another one on the same end: a request that is still
    /// being sent while its answer is awaited.
    pub fn beside(&self) -> Self {
        self.registry.watch()
    }

    /// The interrupt that the next wait would end with, for steps that need not wait.
    pub fn interrupted(&self) -> Result<(), Fault> {
        self.entry.interrupt.get().map_or(Ok(()), |interrupt| Err(self.fault(interrupt)))
    }

    /// Waits for `event` within the step begun by [`Watch::enter`].
    pub fn wait<'a, F: Future>(&'a self, event: Pin<&'a mut F>) -> Wait<'a, F, fn() -> bool> {
        self.wait_unless(event, || false)
    }

    /// As [`Watch::wait`]; on a probing watch `gone` is asked once a tick, and when it says yes the
    /// client is taken to have left.
    pub fn wait_unless<'a, F: Future, G: Fn() -> bool + Unpin>(
        &'a self,
        event: Pin<&'a mut F>,
        gone: G,
    ) -> Wait<'a, F, G> {
        self.entry.waits.set(self.entry.waits.get() + 1);
        Wait { watch: self, event, gone, seen: self.sweeps() }
    }

    /// Lets whatever waits here look around at every sweep; returns what was before.
    pub fn set_probing(&self, on: bool) -> bool {
        self.entry.probing.replace(on)
    }

    /// Sweeps so far; wraps around.
    pub fn sweeps(&self) -> u32 {
        self.registry.sweeps.get()
    }

    fn fault(&self, interrupt: Interrupt) -> Fault {
        let stage = self.stage();
        Fault { stage, side: stage.side(), cause: Cause::Interrupted(interrupt) }
    }
}

impl Entry {
    fn remember(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        match slot.as_ref() {
            Some(known) if known.will_wake(waker) => {}
            _ => *slot = Some(waker.clone()),
        }
    }
}

/// A wait that is under way; written by hand because every idle connection is one or two of these.
#[derive(Debug)]
#[must_use]
pub struct Wait<'a, F, G> {
    watch: &'a Watch,
    event: Pin<&'a mut F>,
    gone: G,
    /// The sweep after which `gone` was last asked.
    seen: u32,
}

impl<F: Future, G: Fn() -> bool + Unpin> Future for Wait<'_, F, G> {
    type Output = Result<F::Output, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.event.as_mut().poll(context) {
            return Poll::Ready(Ok(output));
        }
        let entry = &self.watch.entry;
        if let Some(interrupt) = entry.interrupt.get() {
            return Poll::Ready(Err(self.watch.fault(interrupt)));
        }
        let sweeps = self.watch.sweeps();
        if std::mem::replace(&mut self.seen, sweeps) != sweeps && (self.gone)() {
            let (stage, side, cause) = (self.watch.stage(), Side::Client, Cause::ClientGone);
            return Poll::Ready(Err(Fault { stage, side, cause }));
        }
        entry.remember(context.waker());
        Poll::Pending
    }
}

impl<F, G> Drop for Wait<'_, F, G> {
    fn drop(&mut self) {
        let entry = &self.watch.entry;
        let left = entry.waits.get() - 1;
        entry.waits.set(left);
        if left == 0 && entry.interrupt.get() != Some(Interrupt::Cut) {
            entry.interrupt.set(None);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.registry.entries.borrow_mut().remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::pin::pin;

    use super::*;

    fn registry() -> Rc<Registry> {
        Registry::new(Duration::from_millis(100))
    }

    async fn forever(watch: &Watch) -> Result<(), Fault> {
        watch.wait(pin!(pending())).await
    }

    fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_not_before() {
        let registry = registry();
        let watch = registry.watch();
        watch.enter(Stage::ReadRequestHead, Duration::from_secs(1));
        let mut wait = pin!(forever(&watch));
        assert!(poll_once(wait.as_mut()).is_pending());
        registry.sweep(1_000);
        assert!(poll_once(wait.as_mut()).is_pending(), "one tick late at most, never early");
        registry.sweep(1_100);
        let Poll::Ready(Err(fault)) = poll_once(wait.as_mut()) else { panic!("still waiting") };
        assert_eq!(fault.stage, Stage::ReadRequestHead);
        assert_eq!(fault.side, Side::Client);
        assert!(matches!(fault.cause, Cause::Interrupted(Interrupt::Deadline)));
    }

    #[test]
    fn a_passed_deadline_does_not_reach_into_the_next_wait() {
        let registry = registry();
        let watch = registry.watch();
        watch.enter(Stage::KeepAlive, Duration::from_secs(1));
        registry.sweep(5_000);
        registry.interrupt_idle(Duration::ZERO);
        watch.enter(Stage::ReadRequestHead, Duration::from_secs(1));
        let mut wait = pin!(forever(&watch));
        assert!(poll_once(wait.as_mut()).is_pending());
    }

    #[test]
    fn drain_ends_idle_waits_and_cut_ends_all() {
        let registry = registry();
        let (idle, busy) = (registry.watch(), registry.watch());
        idle.enter(Stage::KeepAlive, Duration::from_secs(60));
        busy.enter(Stage::ReadAnswerHead, Duration::from_secs(60));
        let mut idle_wait = pin!(forever(&idle));
        let mut busy_wait = pin!(forever(&busy));
        assert!(poll_once(idle_wait.as_mut()).is_pending());
        assert!(poll_once(busy_wait.as_mut()).is_pending());
        let fresh = registry.watch();
        fresh.enter(Stage::WaitForRequest, Duration::from_secs(60));
        let mut fresh_wait = pin!(forever(&fresh));
        assert!(poll_once(fresh_wait.as_mut()).is_pending());
        registry.interrupt_idle(Duration::from_secs(1));
        assert!(poll_once(idle_wait.as_mut()).is_ready());
        registry.sweep(1_000);
        assert!(poll_once(fresh_wait.as_mut()).is_pending(), "its request may be on its way");
        registry.sweep(1_100);
        assert!(poll_once(fresh_wait.as_mut()).is_ready());
        assert!(poll_once(busy_wait.as_mut()).is_pending());
        registry.interrupt_all();
        assert!(poll_once(busy_wait.as_mut()).is_ready());
        let mut late = pin!(forever(&busy));
        assert!(poll_once(late.as_mut()).is_ready(), "a wait that begins after the cut ends too");
    }

    #[test]
    fn watches_leave_the_registry() {
        let registry = registry();
        let watch = registry.watch();
        watch.enter(Stage::Tunnel, Duration::from_secs(1));
        assert_eq!(registry.entries.borrow().len(), 1);
        drop(watch);
        assert_eq!(registry.entries.borrow().len(), 0);
    }
}
