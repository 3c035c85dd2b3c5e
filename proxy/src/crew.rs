//! The workers, from the control plane's side: starting them, giving them orders, seeing them end.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::config::{Config, Rung};
use crate::context::Shared;
use crate::io::cpu;
use crate::io::notify::{self, Ringer};
use crate::limits::Limits;
use crate::log;
use crate::worker::{self, Bound, Order, Queue, Start};

/// All worker threads that have not ended: those that accept, and older ones that drain.
#[derive(Debug, Default)]
pub struct Crew {
    workers: Vec<Handle>,
    next_number: usize,
}

/// Told by the thread of a worker when it ends.
#[derive(Debug)]
pub struct Ended {
    pub number: usize,
    pub error: Option<io::Error>,
}

/// What becomes of workers whose time to drain is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// None was.
    No,
    /// They were told to end at once.
    Cut,
    /// They were told before, and have not.
    Stuck,
}

#[derive(Debug)]
struct Handle {
    number: usize,
    orders: Sender<Order>,
    ringer: Ringer,
    thread: JoinHandle<()>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Working,
    Draining { until: Instant },
    Cut { until: Instant },
}

impl Crew {
    /// Starts as many workers as the configuration says, each with its listeners.
    ///
    /// Errors: a thread, or what it needs, can't be had; those started before are told to end.
    pub fn start(
        &mut self,
        config: &Config,
        rung: Rung,
        shared: &Arc<Shared>,
        log: &log::Handle,
        hands: Vec<Vec<Bound>>,
        ended: impl Fn(Ended) + Clone + Send + 'static,
    ) -> io::Result<()> {
        let cores = cpu::allowed();
        // With fewer workers than cores the kernel knows better which are free.
        let pinned = cores.len() == hands.len();
        for (index, hand) in hands.into_iter().enumerate() {
            let (ringer, bell) = notify::pair()?;
            let (orders, inbox) = mpsc::channel();
            let number = self.next_number;
            let start = Start {
                number,
                rung,
                shared: shared.clone(),
                log: log.clone(),
                orders: inbox,
                bell,
                tick: tick(&config.limits),
            };
            let core = cores.get(index).copied().filter(|_| pinned);
            let ended = ended.clone();
            let deed = move || {
                if let Some(core) = core {
                    cpu::pin(core);
                }
                let run = AssertUnwindSafe(|| worker::run(start));
                let error = match panic::catch_unwind(run) {
                    Ok(result) => result.err(),
                    Err(_) => Some(io::Error::other("it panicked; please report this as a bug")),
                };
                ended(Ended { number, error });
            };
            let thread = Builder::new().name(format!("sheen-{number}")).spawn(deed)?;
            self.next_number += 1;
            let handle = Handle { number, orders, ringer, thread, state: State::Working };
            handle.order(Order::Listen(hand));
            self.workers.push(handle);
        }
        Ok(())
    }

    pub fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }

    /// Gives those that accept connections new lists of listeners.
    pub fn hand_out(&self, hands: Vec<Vec<Bound>>) {
        let working = self.workers.iter().filter(|worker| worker.state == State::Working);
        for (worker, hand) in working.zip(hands) {
            worker.order(Order::Listen(hand));
        }
    }

    pub fn log_to(&self, log: &log::Handle) {
        self.workers.iter().for_each(|worker| worker.order(Order::Log(log.clone())));
    }

    /// Those that accept connections accept no more, and end when their last one has, at the latest
    /// after `limit`.
    pub fn drain(&mut self, limit: Duration, queue: Queue) {
        let until = Instant::now() + limit;
        for worker in self.workers.iter_mut().filter(|worker| worker.state == State::Working) {
            worker.state = State::Draining { until };
            worker.order(Order::Drain(queue));
        }
    }

    /// All end now.
    pub fn cut(&mut self) {
        let until = Instant::now() + CUT_PATIENCE;
        for worker in &mut self.workers {
            if !matches!(worker.state, State::Cut { .. }) {
                worker.state = State::Cut { until };
                worker.order(Order::Cut);
            }
        }
    }

    /// When [`Crew::look_after`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = |worker: &Handle| match worker.state {
            State::Working => None,
            State::Draining { until } | State::Cut { until } => Some(until),
        };
        self.workers.iter().filter_map(deadline).min()
    }

    /// Cuts those whose time to drain is up.
    pub fn look_after(&mut self, now: Instant) -> Overdue {
        let mut overdue = Overdue::No;
        for worker in &mut self.workers {
            match worker.state {
                State::Cut { until } if until <= now => return Overdue::Stuck,
                State::Draining { until } if until <= now => {
                    worker.state = State::Cut { until: now + CUT_PATIENCE };
                    worker.order(Order::Cut);
                    overdue = Overdue::Cut;
                }
                State::Working | State::Draining { .. } | State::Cut { .. } => {}
            }
        }
        overdue
    }

    /// A worker has said that it ended.
    pub fn forget(&mut self, number: usize) {
        if let Some(at) = self.workers.iter().position(|worker| worker.number == number) {
            let _ = self.workers.remove(at).thread.join();
        }
    }
}

impl Handle {
    fn order(&self, order: Order) {
        // A worker that has ended takes no orders.
        let _ = self.orders.send(order);
        self.ringer.ring();
    }
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

const TICK_MIN: Duration = Duration::from_millis(25);
const TICK_MAX: Duration = Duration::from_secs(1);
/// For workers to end after a cut.
const CUT_PATIENCE: Duration = Duration::from_secs(5);
