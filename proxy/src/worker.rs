//! One core: its runtime, its listeners, its connections, its tick.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use crate::admission::{Full, Permit};
use crate::balancer;
use crate::buf;
use crate::config::{Level, Rung};
use crate::conn::Connection;
use crate::context::{Live, Phase, Shared, Snapshot, Worker};
use crate::io::listener::Listener;
use crate::io::notify::Bell;
use crate::io::socket::Socket;
use crate::io::{receive, runtime, timer};
use crate::limits::{ACCEPTS_PER_TURN_MAX, DRAIN_GRACE};
use crate::log;
use crate::peer::Peer;
use crate::record::Introduction;
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
    Drain(Queue),
    /// End now.
    Cut,
}

/// What becomes of connections that wait in the queue of a listener when it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// They would be reset with the socket: they are taken.
    Take,
    /// Another process, or a worker to come, has the socket too and takes them.
    Leave,
}

/// The listening sockets of one address for one worker.
#[derive(Debug)]
pub struct Bound {
    /// Tells the same listener in the next configuration.
    pub key: usize,
    pub protocol: Protocol,
    /// Empty: this worker has them already.
    pub sockets: Vec<OwnedFd>,
}

/// What connections begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protocol {
    pub proxy_header: bool,
    pub tls: bool,
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
    state: Rc<Cell<State>>,
    /// A reload may change it.
    protocol: Rc<Cell<Protocol>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed(Queue),
}

fn listen(worker: &Rc<Worker>, listening: &mut Vec<Listening>, bound: Vec<Bound>) {
    for old in listening.iter() {
        match bound.iter().find(|bound| bound.key == old.key) {
            Some(bound) => old.protocol.set(bound.protocol),
            None => old.state.set(State::Closed(Queue::Take)),
        }
    }
    listening.retain(|old| old.state.get() == State::Open);
    let sockets = bound.into_iter().flat_map(|Bound { key, protocol, sockets }| {
        sockets.into_iter().map(move |socket| (key, protocol, socket))
    });
    for (key, protocol, socket) in sockets {
        match Listener::new(socket) {
            Ok(listener) => {
                let state = Rc::new(Cell::new(State::Open));
                let protocol = Rc::new(Cell::new(protocol));
                let (its_state, its_protocol) = (state.clone(), protocol.clone());
                listening.push(Listening { key, state: its_state, protocol: its_protocol });
                runtime::spawn(accept(worker.clone(), listener, protocol, state));
            }
            Err(error) => worker.log.say(Level::Error, format_args!("can't listen: {error}")),
        }
    }
}

fn drain(worker: &Worker, listening: &mut Vec<Listening>, queue: Queue) {
    listening.drain(..).for_each(|old| old.state.set(State::Closed(queue)));
    worker.phase.set(Phase::Draining);
    worker.registry.sweep(worker.registry.now_ms());
    worker.registry.interrupt_idle(DRAIN_GRACE);
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
                Ok(Order::Drain(queue)) => drain(worker, &mut listening, queue),
                Ok(Order::Cut) | Err(TryRecvError::Disconnected) => {
                    drain(worker, &mut listening, Queue::Leave);
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
            Phase::Draining if worker.live() == 0 && !receive::any_under_way() => return,
            Phase::Draining => timer::sleep(DRAIN_POLL).await,
            Phase::Ended => return farewell(worker).await,
        }
    }
}

/// Lets cut connections say their last words.
async fn farewell(worker: &Rc<Worker>) {
    let begun = Instant::now();
    while (worker.live() > 0 || receive::any_under_way()) && begun.elapsed() < FAREWELL {
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
        let idle = worker.snapshot().limits.timeouts.upstream_idle;
        worker.pool.sweep(now_ms, idle);
        buf::trim();
        worker.log.flush();
    }
}

/// Takes connections from one listener until it is closed, and then those that wait in its queue.
async fn accept(
    worker: Rc<Worker>,
    listener: Listener,
    protocol: Rc<Cell<Protocol>>,
    state: Rc<Cell<State>>,
) {
    // The worker does not end before its listeners are closed.
    let _live = Live::new(&worker);
    let watch = worker.registry.watch();
    watch.enter(Stage::Accept, Duration::MAX);
    watch.set_probing(true);
    loop {
        let is_closed = || state.get() != State::Open;
        let closed = watch.wait_unless(pin!(listener.readable()), is_closed).await.is_err();
        let turn = match state.get() {
            State::Open => ACCEPTS_PER_TURN_MAX,
            State::Closed(Queue::Take) => usize::MAX,
            State::Closed(Queue::Leave) => 0,
        };
        for _ in 0..turn {
            match listener.accept() {
                Ok(Some((socket, peer))) => begin(&worker, socket, peer, protocol.get()),
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

fn begin(worker: &Rc<Worker>, socket: Socket, peer: Peer, protocol: Protocol) {
    let snapshot = worker.snapshot();
    let trusted = trusts(&snapshot, peer);
    // Behind a balancer the client is counted once it is known.
    let counted = if trusted || protocol.proxy_header { None } else { peer.ip() };
    match worker.shared.admission.admit(counted) {
        Ok(permit) => {
            let number = worker.shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
            if protocol.proxy_header {
                let worker = worker.clone();
                runtime::spawn(introduced(worker, socket, peer, number, permit, protocol.tls));
                return;
            }
            let conn =
                Connection::new(worker.clone(), snapshot, socket, peer, None, number, permit);
            runtime::spawn(conn.serve(protocol.tls, trusted));
        }
        Err(full) => turn_away(worker, peer, full),
    }
}

/// A connection behind a balancer, whose PROXY protocol header says who the client is.
async fn introduced(
    worker: Rc<Worker>,
    socket: Socket,
    from: Peer,
    number: u64,
    mut permit: Permit,
    tls: bool,
) {
    let live = Live::new(&worker);
    let (introduction, client) = match balancer::read_header(&worker, &socket).await {
        Ok(header) => (Introduction::of(&header), header.client),
        Err(why) => {
            let words = format_args!("*{number} {why}, client: {from}");
            worker.log.say(Level::Error, words);
            return;
        }
    };
    let snapshot = worker.snapshot();
    let client = client.map_or(from, Peer::Tcp);
    let trusted = trusts(&snapshot, client);
    if let Some(address) = client.ip().filter(|_| !trusted)
        && let Err(full) = permit.count_address(address)
    {
        return turn_away(&worker, client, full);
    }
    // nginx.conf says by `real_ip_header` whether the balancer is to be believed.
    let peer = if snapshot.http.is_some() { from } else { client };
    let conn = Connection::new(worker, snapshot, socket, peer, introduction, number, permit);
    drop(live);
    Box::pin(conn.serve(tls, trusted)).await;
}

fn trusts(snapshot: &Snapshot, peer: Peer) -> bool {
    let trusted = |ip: &IpAddr| snapshot.trusted_proxies.iter().any(|net| net.contains(ip));
    peer.ip().as_ref().is_some_and(trusted)
}

fn turn_away(worker: &Worker, peer: Peer, full: Full) {
    let words = match full {
        Full::All => "limits.connections (worker_connections) are in use",
        Full::Address => "limits.connections_per_address are in use",
    };
    worker.log.say(Level::Warn, format_args!("connection refused: {words}, client: {peer}"));
}

const DRAIN_POLL: Duration = Duration::from_millis(10);
/// For close_notify and the log, after a cut.
const FAREWELL: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
