//! A WebSocket after its handshake: bytes both ways until both sides have ended.
//!
//! A Shiny session is one of these and lives for hours, mostly idle. So it runs as a task of its
//! own that holds what a tunnel needs and nothing of the exchange that opened it.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use crate::admission::Permit;
use crate::buf::Buf;
use crate::context::Live;
use crate::fault::{Cause, Fault};
use crate::record::{Identity, Record, log_access, log_fault};
use crate::relay::pump;
use crate::stage::{Interrupt, Stage};
use crate::tls::stream::Stream;

#[derive(Debug)]
pub struct Tunnel {
    pub identity: Rc<Identity>,
    pub client: Stream,
    pub upstream: Stream,
    /// Bytes that came with the handshake of either side.
    pub from_client: Buf,
    pub from_upstream: Buf,
    /// Longest silence of both sides.
    pub idle: Duration,
    pub record: Record,
    pub permit: Permit,
    pub live: Live,
}

/// Runs the tunnel to its end, and logs it.
pub async fn run(mut tunnel: Box<Tunnel>) {
    let Tunnel {
        live, identity, client, upstream, from_client, from_upstream, idle, record, ..
    } = &mut *tunnel;
    client.watch.enter(Stage::Tunnel, *idle);
    upstream.watch.enter(Stage::Tunnel, *idle);
    let moved = Cell::new(0);
    let idle = Cell::new(*idle);
    let up = pin!(pump(client, upstream, from_client, &idle, &moved));
    let down = pin!(pump(upstream, client, from_upstream, &idle, &record.sent));
    let watches = [&client.watch, &upstream.watch];
    let end = both(up, down, || {
        idle.set(idle.get().min(HALF_CLOSED_IDLE));
        watches.iter().for_each(|watch| watch.postpone(idle.get()));
    })
    .await;
    let (worker, is_whole) = (live.worker(), end.is_ok());
    if let Err(fault) = end {
        client.abandon();
        log_fault(worker, identity, record, record.ongoing.borrow().as_deref(), &ordinary(fault));
    }
    record.is_complete.set(is_whole);
    record.tries.tunnelled(moved.get(), record.sent.get());
    log_access(worker, identity, record, client);
}

/// Polls both directions until both have ended, or one has failed. They stay in the caller's frame:
/// moved into this one, every idle tunnel would hold them twice.
fn both(
    mut up: Pin<&mut impl Future<Output = Result<(), Fault>>>,
    mut down: Pin<&mut impl Future<Output = Result<(), Fault>>>,
    first_ended: impl Fn(),
) -> impl Future<Output = Result<(), Fault>> {
    let (mut up_ended, mut down_ended) = (false, false);
    poll_fn(move |context| {
        let before = up_ended || down_ended;
        if !up_ended && let Poll::Ready(end) = up.as_mut().poll(context) {
            end?;
            up_ended = true;
        }
        if !down_ended && let Poll::Ready(end) = down.as_mut().poll(context) {
            end?;
            down_ended = true;
        }
        if up_ended && down_ended {
            return Poll::Ready(Ok(()));
        }
        if !before && (up_ended || down_ended) {
            first_ended();
        }
        Poll::Pending
    })
}

/// The idle deadline of a tunnel is nobody's fault.
fn ordinary(fault: Fault) -> Fault {
    match fault.cause {
        Cause::Interrupted(Interrupt::Deadline) => {
            Fault { side: crate::fault::Side::Client, ..fault }
        }
        _ => fault,
    }
}

/// After one side has ended, the other may go on, but not in silence for hours.
const HALF_CLOSED_IDLE: Duration = Duration::from_secs(60);
