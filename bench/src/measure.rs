//! One case on one peer for one round.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::cases::{Case, SESSIONS, Shape};
use crate::load::Load;
use crate::peers::Peer;
use crate::talk::Stats;

/// Numbers by name. `cost` is what peers are compared by: microseconds of CPU time per unit, or kB per connection.
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
        Shape::Redirect | Shape::Get { .. } | Shape::Handshake { .. } => stats.exchanges as f64,
        Shape::Download => stats.bytes_in as f64 / 1e6,
        Shape::Upload => stats.bytes_out as f64 / 1e6,
        Shape::Echo { .. } => stats.messages as f64,
        Shape::Idle => 0.0,
        Shape::Mix | Shape::Swap | Shape::Reload => SESSIONS as f64 * wall.as_secs_f64(),
    }
}

/// What a stretch of time held.
#[derive(Debug)]
struct Window {
    stats: Stats,
    cpu_ns: u64,
    wall: Duration,
}

impl Window {
    fn run(load: &mut Load, peer: &Peer, time: Duration) -> Result<Self, String> {
        load.take_stats();
        let (begun, before) = (Instant::now(), peer.cpu_ns());
        load.run_for(time)?;
        let (wall, after) = (begun.elapsed(), peer.cpu_ns());
        Ok(Self { stats: load.take_stats(), cpu_ns: after.saturating_sub(before), wall })
    }

    fn metrics(&self, units: f64) -> Metrics {
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

/// Memory by difference between N and 2N connections, so that what a peer has anyway does not count.
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
            _ => peer.reload(),
        }
        during.push(Window::run(load, peer, time)?);
    }
    let memory_during = peer.pss();
    if case.kind == Shape::Swap && !peer.shows_its_certificate()? {
        return Err("it still answers with the old certificate".to_owned());
    }
    let after = Window::run(load, peer, time)?;
    let mut metrics = after.metrics(units(case.kind, &after.stats, after.wall));
    let p99 = |window: &Window| window.stats.latency.quantile_us(0.99).unwrap_or(f64::NAN);
    let worst = during.iter().map(p99).fold(0.0, f64::max);
    let sum = |count: fn(&Stats) -> u64| {
        let all = during.iter().chain([&after]);
        all.map(|window| count(&window.stats)).sum::<u64>() as f64
    };
    metrics.extend([
        ("p99_before_us", p99(&before)),
        ("p99_during_us", worst),
        ("p99_after_us", p99(&after)),
        ("failed", sum(|stats| stats.failed)),
        ("closed", sum(|stats| stats.closed)),
        ("pss_before_mb", memory as f64 / 1e6),
        ("pss_during_mb", memory_during as f64 / 1e6),
    ]);
    Ok(metrics)
}

const IDLE_SETTLE: Duration = Duration::from_millis(700);
const CHANGES: usize = 3;
