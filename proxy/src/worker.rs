//! One core: its runtime, its listeners, its connections, its tick.

use std::cell::Cell;
use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::admission::Full;
use crate::config::{Level, Rung};
use crate::conn::Connection;
use crate::context::{Live, Phase, Shared, Worker};
use crate::io::listener::Listener;
use crate::io::notify::Bell;
use crate::io::socket::Socket;
use crate::io::{runtime, timer};
use crate::limits::ACCEPTS_PER_TURN_MAX;
use crate::log;
use crate::stage::Stage;

/// What a worker thread begins with.
#[derive(Debug)]
pub struct Start {
    pub number: usize,
    pub rung: Rung,
    pub shared: Arc<Shared>,
    pub log: log::Handle,
    pub orders: Receiver<Order>,
    pub bell: Bell,
    pub tick: Duration,
}

/// What the control plane tells a worker.
#[derive(Debug)]
pub enum Order {
    /// Listen on these, and no longer on any other.
    Listen(Vec<Bound>),
    Log(log::Handle),
    /// Accept no more; end when the last connection has ended.
    Drain,
    /// End now.
    Cut,
}

/// A listening socket for one worker.
#[derive(Debug)]
pub struct Bound {
    /// Tells the same listener in the next configuration.
    pub key: usize,
    pub tls: bool,
    /// `None`: this worker has it already.
    pub socket: Option<TcpListener>,
}

/// Runs a worker on this thread until it is told to end.
///
/// Errors: the driver could not be made.
pub fn run(start: Start) -> io::Result<()> {
    runtime::run(start.rung, async move {
        let worker = Worker::new(start.shared, start.log, start.tick);
        let bell = start.bell.attach()?;
        runtime::spawn(tick(worker.clone()));
        obey(&worker, &bell, &start.orders).await;
        worker.log.flush();
        Ok(())
    })?
}

/// A listener's accept loop, as whoever may end it sees it.
#[derive(Debug)]
struct Listening {
    key: usize,
    open: Rc<Cell<bool>>,
}

fn listen(worker: &Rc<Worker>, listening: &mut Vec<Listening>, bound: Vec<Bound>) {
    for old in listening.iter() {
        old.open.set(bound.iter().any(|bound| bound.key == old.key));
    }
    listening.retain(|old| old.open.get());
    for Bound { key, tls, socket } in bound {
        let Some(socket) = socket else { continue };
        match Listener::new(socket) {
            Ok(listener) => {
                let open = Rc::new(Cell::new(true));
                listening.push(Listening { key, open: open.clone() });
                runtime::spawn(accept(worker.clone(), listener, tls, open));
            }
            Err(error) => worker.log.say(Level::Error, format_args!("can't listen: {error}")),
        }
    }
}

fn drain(worker: &Worker, listening: &mut Vec<Listening>) {
    listening.drain(..).for_each(|old| old.open.set(false));
    worker.phase.set(Phase::Draining);
    worker.registry.sweep(worker.registry.now_ms());
    worker.registry.interrupt_idle();
    worker.pool.clear();
}

/// Takes orders until the end.
async fn obey(worker: &Rc<Worker>, bell: &Socket, orders: &Receiver<Order>) {
    let mut bin = [0; 64];
    let mut listening = Vec::new();
    loop {
        loop {
            match orders.try_recv() {
                Ok(Order::Listen(bound)) => listen(worker, &mut listening, bound),
                Ok(Order::Log(handle)) => worker.log.replace(handle),
                Ok(Order::Drain) => drain(worker, &mut listening),
                Ok(Order::Cut) | Err(TryRecvError::Disconnected) => {
                    drain(worker, &mut listening);
                    worker.phase.set(Phase::Ended);
                    worker.registry.interrupt_all();
                }
                Err(TryRecvError::Empty) => break,
            }
            if worker.phase.get() == Phase::Ended {
                break;
            }
        }
        match worker.phase.get() {
            Phase::Running => {
                let _ = bell.readable().await;
                while let Ok(Some(1..)) = bell.try_recv(&mut bin) {}
            }
            Phase::Draining if worker.live() == 0 => return,
            Phase::Draining => timer::sleep(DRAIN_POLL).await,
            Phase::Ended => return farewell(worker).await,
        }
    }
}

/// Lets cut connections say their last words.
async fn farewell(worker: &Rc<Worker>) {
    let begun = Instant::now();
    while worker.live() > 0 && begun.elapsed() < FAREWELL {
        timer::sleep(DRAIN_POLL).await;
    }
}

/// The coarse clock: deadlines, the pool's aging, the access log.
async fn tick(worker: Rc<Worker>) {
    let begun = Instant::now();
    loop {
        timer::sleep(worker.registry.tick()).await;
        let now_ms = begun.elapsed().as_millis() as u64;
        worker.registry.sweep(now_ms);
        let idle = worker.shared.snapshot.load().limits.timeouts.upstream_idle;
        worker.pool.sweep(now_ms, idle);
        worker.log.flush();
    }
}

/// Takes connections from one listener until it is closed, and then those that wait in its queue.
async fn accept(worker: Rc<Worker>, listener: Listener, tls: bool, open: Rc<Cell<bool>>) {
    // The worker does not end before its listeners are closed.
    let _live = Live::new(&worker);
    let watch = worker.registry.watch();
    watch.enter(Stage::Accept, Duration::MAX);
    watch.set_probing(true);
    loop {
        let closed = watch.wait_unless(pin!(listener.readable()), || !open.get()).await.is_err();
        // What waits in the queue of a closed listener would be reset with it.
        let turn = if closed { usize::MAX } else { ACCEPTS_PER_TURN_MAX };
        for _ in 0..turn {
            match listener.accept() {
                Ok(Some((socket, peer))) => begin(&worker, socket, peer, tls),
                Ok(None) => break,
                Err(error) => {
                    if !survive(&worker, &error).await {
                        break;
                    }
                }
            }
        }
        if closed {
            return;
        }
    }
}

/// What an error of accept means: true when the next connection can be taken at once.
async fn survive(worker: &Worker, error: &io::Error) -> bool {
    match error.kind() {
        // The client's doing, accept(2).
        io::ErrorKind::ConnectionAborted
        | io::ErrorKind::Interrupted
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable => true,
        // No descriptors or no memory: waiting gives connections the time to end.
        _ => {
            worker.log.say(Level::Error, format_args!("accept() failed: {error}"));
            timer::sleep(ACCEPT_PAUSE).await;
            false
        }
    }
}

fn begin(worker: &Rc<Worker>, socket: Socket, peer: std::net::SocketAddr, tls: bool) {
    let snapshot = worker.shared.snapshot.load_full();
    let trusted = snapshot.trusted_proxies.iter().any(|net| net.contains(&peer.ip()));
    match worker.shared.admission.admit(peer.ip(), trusted) {
        Ok(permit) => {
            let number = worker.shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
            let conn = Connection::new(worker.clone(), snapshot, socket, peer, number, permit);
            runtime::spawn(conn.serve(tls, trusted));
        }
        Err(full) => turn_away(worker, peer, full),
    }
}

fn turn_away(worker: &Worker, peer: std::net::SocketAddr, full: Full) {
    let words = match full {
        Full::All => "limits.connections are in use",
        Full::Address => "limits.connections_per_address are in use",
    };
    worker.log.say(Level::Warn, format_args!("connection refused: {words}, client: {}", peer.ip()));
}

const DRAIN_POLL: Duration = Duration::from_millis(10);
/// For close_notify and the log, after a cut.
const FAREWELL: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
