//! One case on one peer for one round.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cases::{Case, SESSIONS, Shape};
use crate::histogram::Histogram;
use crate::load::Load;
use crate::peers::Peer;
use crate::talk::Stats;

/// Numbers by name. `cost` is what peers are compared by: microseconds of CPU time per unit, or kB
/// per connection.
pub(crate) type Metrics = BTreeMap<&'static str, f64>;

#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) metrics: Metrics,
    /// The TLS version that was agreed on.
    pub(crate) version: Option<&'static str>,
    pub(crate) complaint: Option<String>,
}

/// Runs the case for `time` after it has settled.
pub(crate) fn measure(
    case: &Case,
    peer: &Peer,
    time: Duration,
    idle: usize,
) -> Result<Measured, String> {
    let plan = case.plan(peer, idle);
    let time = case.window(time);
    let mut load = Load::new(plan).map_err(|error| format!("load: {error}"))?;
    load.settle()?;
    load.run_for(warm_up(case.kind))?;
    let version = load.take_stats().version;
    let mut metrics = match case.kind {
        Shape::Idle => idle_ones(&mut load, peer, idle, time)?,
        Shape::Swap | Shape::Reload => change(case, &mut load, peer, time)?,
        Shape::EchoUnderHandshakes => under_handshakes(&mut load, peer, time)?,
        _ => {
            let window = Window::run(&mut load, peer, time)?;
            window.metrics(units(case.kind, &window.stats, window.wall))
        }
    };
    if metrics.get("cost").is_some_and(|cost| !cost.is_finite()) {
        let why = load.complaint().unwrap_or("nothing was answered");
        return Err(why.to_owned());
    }
    if let Shape::Handshake { resumed } = case.kind {
        let share = metrics.get("resumed_share").copied().unwrap_or(0.0);
        if resumed && share < 0.95 {
            metrics.insert("odd", share);
        }
    }
    Ok(Measured { metrics, version, complaint: load.complaint().map(str::to_owned) })
}

fn warm_up(shape: Shape) -> Duration {
    match shape {
        Shape::Mix | Shape::Swap | Shape::Reload => Duration::from_secs(2),
        _ => Duration::from_millis(400),
    }
}

fn units(shape: Shape, stats: &Stats, wall: Duration) -> f64 {
    match shape {
        Shape::Redirect
        | Shape::Get { .. }
        | Shape::GetUnix { .. }
        | Shape::Handshake { .. }
        | Shape::Scaling
        | Shape::Rules => stats.exchanges as f64,
        Shape::EchoUnderHandshakes => wall.as_secs_f64(),
        Shape::Download => stats.bytes_in as f64 / 1e6,
        Shape::Upload => stats.bytes_out as f64 / 1e6,
        Shape::Echo { .. } => stats.messages as f64,
        Shape::Idle => 0.0,
        Shape::Mix | Shape::Swap | Shape::Reload => SESSIONS as f64 * wall.as_secs_f64(),
    }
}

/// What a stretch of time held.
#[derive(Debug)]
pub(crate) struct Window {
    pub(crate) stats: Stats,
    cpu_ns: u64,
    pub(crate) wall: Duration,
}

impl Window {
    pub(crate) fn run(load: &mut Load, peer: &Peer, time: Duration) -> Result<Self, String> {
        load.take_stats();
        let (begun, before) = (Instant::now(), peer.cpu_ns());
        load.run_for(time)?;
        let (wall, after) = (begun.elapsed(), peer.cpu_ns());
        Ok(Self { stats: load.take_stats(), cpu_ns: after.saturating_sub(before), wall })
    }

    pub(crate) fn metrics(&self, units: f64) -> Metrics {
        let stats = &self.stats;
        let mut metrics = Metrics::from([
            ("cost", self.cpu_ns as f64 / 1000.0 / units),
            ("rate", units / self.wall.as_secs_f64()),
            ("busy_percent", self.cpu_ns as f64 / self.wall.as_nanos() as f64 * 100.0),
            ("failed", stats.failed as f64),
            ("closed", stats.closed as f64),
        ]);
        let quantiles = [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)];
        for (name, share) in quantiles {
            metrics.extend(stats.latency.quantile_us(share).map(|us| (name, us)));
        }
        if stats.handshakes > 0 {
            metrics.insert("resumed_share", stats.resumed as f64 / stats.handshakes as f64);
        }
        metrics
    }
}

/// A steady echo alone, and then while others shake hands.
fn under_handshakes(load: &mut Load, peer: &Peer, time: Duration) -> Result<Metrics, String> {
    let quiet = Window::run(load, peer, time)?;
    let end = AtomicBool::new(false);
    let (window, newcomers) = thread::scope(|scope| {
        let newcomers = scope.spawn(|| shake_hands(peer, &end));
        let window = load.run_for(warm_up(Shape::EchoUnderHandshakes));
        let window = window.and_then(|()| Window::run(load, peer, time));
        end.store(true, Ordering::Relaxed);
        (window, newcomers.join().expect("a load does not panic"))
    });
    let (window, (rate, failed)) = (window?, newcomers?);
    let mut metrics = window.metrics(units(Shape::EchoUnderHandshakes, &window.stats, window.wall));
    let quantiles = [("p50_quiet_us", 0.5), ("p99_quiet_us", 0.99), ("p999_quiet_us", 0.999)];
    for (name, share) in quantiles {
        metrics.extend(quiet.stats.latency.quantile_us(share).map(|us| (name, us)));
    }
    let all_failed = window.stats.failed as f64 + failed;
    metrics.extend([("handshakes_per_s", rate), ("failed", all_failed)]);
    Ok(metrics)
}

/// Until told to end; returns full handshakes a second, and failures.
fn shake_hands(peer: &Peer, end: &AtomicBool) -> Result<(f64, f64), String> {
    // The echo's own load comes first, so that what is measured is not the load's wait for itself.
    // Where it is refused, the echo of every peer waits a little longer.
    let _ = rustix::process::nice(19);
    let mut load = Load::new(Case::newcomers(peer)).map_err(|error| format!("load: {error}"))?;
    let begun = Instant::now();
    while !end.load(Ordering::Relaxed) {
        load.run_for(Duration::from_millis(20))?;
    }
    let stats = load.take_stats();
    Ok((stats.handshakes as f64 / begun.elapsed().as_secs_f64(), stats.failed as f64))
}

/// Memory by difference between N and 2N connections, so that what a peer has anyway does not
/// count.
fn idle_ones(load: &mut Load, peer: &Peer, idle: usize, time: Duration) -> Result<Metrics, String> {
    load.run_for(IDLE_SETTLE)?;
    let half = peer.pss();
    load.grow(idle);
    load.settle()?;
    load.run_for(IDLE_SETTLE)?;
    let whole = peer.pss();
    let window = Window::run(load, peer, time)?;
    let bytes = whole.saturating_sub(half) as f64 / idle as f64;
    Ok(Metrics::from([
        ("cost", bytes / 1000.0),
        ("connections", 2.0 * idle as f64),
        ("pss_mb", whole as f64 / 1e6),
        ("idle_cpu_ms_per_s", window.cpu_ns as f64 / 1e6 / window.wall.as_secs_f64()),
        ("closed", window.stats.closed as f64),
    ]))
}

/// Before, during and after something is changed under the mix.
fn change(case: &Case, load: &mut Load, peer: &Peer, time: Duration) -> Result<Metrics, String> {
    let before = Window::run(load, peer, time)?;
    let memory = peer.pss();
    // Three times, because a change that leaves something behind leaves it every time.
    let mut during = Vec::new();
    for _ in 0..CHANGES {
        match case.kind {
            Shape::Swap => peer.swap()?,
            _ => peer.reload()?,
        }
        during.push(Window::run(load, peer, time)?);
    }
    let memory_during = peer.pss();
    if case.kind == Shape::Swap && !peer.shows_its_certificate()? {
        return Err("it still answers with the old certificate".to_owned());
    }
    let after = Window::run(load, peer, time)?;
    let mut metrics = after.metrics(units(case.kind, &after.stats, after.wall));
    let p99 = |latency: &Histogram| latency.quantile_us(0.99).unwrap_or(f64::NAN);
    let mut latency = Histogram::default();
    during.iter().for_each(|window| latency.merge(&window.stats.latency));
    let (quiet, later) = (p99(&before.stats.latency), p99(&after.stats.latency));
    let sum = |count: fn(&Stats) -> u64| {
        let all = during.iter().chain([&after]);
        all.map(|window| count(&window.stats)).sum::<u64>() as f64
    };
    metrics.extend([
        ("p99_before_us", quiet),
        ("p99_during_us", p99(&latency)),
        ("p99_after_us", later),
        ("p99_quiet_us", quiet.max(later)),
        ("failed", sum(|stats| stats.failed)),
        ("closed", sum(|stats| stats.closed)),
        ("pss_before_mb", memory as f64 / 1e6),
        ("pss_during_mb", memory_during as f64 / 1e6),
    ]);
    Ok(metrics)
}

const IDLE_SETTLE: Duration = Duration::from_millis(700);
const CHANGES: usize = 3;
