//! Two workers against one: what they share must not cost more than what they gain.
//!
//! On a machine where load and proxy have no core of their own, rates say nothing. So each worker
//! is given the same number of requests, alone and as one of two, and CPU time per request is
//! compared. One worker runs on either core in turn, because one of them may have the load beside
//! it: what the load spoils in the caches is then on both sides of the comparison.
//!
//! Where there are spare cores, two workers are also given more than they can do.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use crate::load::{Load, Pace, Plan};
use crate::machine;
use crate::measure::{Measured, Metrics, Window};
use crate::peers::{Manner, Peer, Setting};
use crate::pki;
use crate::talk::{Work, get};

pub(crate) fn measure(
    peer: &mut Peer,
    setting: &Setting<'_>,
    time: Duration,
) -> Result<Measured, String> {
    let (first, second) = (setting.cores.proxy, setting.cores.second);
    let (one, _) = offered(peer, setting, &[first], time)?;
    let (other, _) = offered(peer, setting, &[second], time)?;
    let (two, version) = offered(peer, setting, &[first, second], time)?;
    let cost = |metrics: &Metrics| metrics.get("cost").copied().unwrap_or(f64::NAN);
    let gain = (cost(&one) + cost(&other)) / cost(&two);
    let mut metrics = two.clone();
    metrics.extend([("cost_one", cost(&one)), ("cost_other", cost(&other)), ("gain", gain)]);
    if setting.cores.spare.len() >= LOADS_MIN {
        let one = throughput(peer, setting, &[first], time)?;
        let two = throughput(peer, setting, &[first, second], time)?;
        metrics.extend([("most_one", one), ("most_two", two), ("most_gain", two / one)]);
    }
    Ok(Measured { metrics, version, complaint: None })
}

/// So many requests a second for each worker.
fn offered(
    peer: &mut Peer,
    setting: &Setting<'_>,
    cores: &[usize],
    time: Duration,
) -> Result<(Metrics, Option<&'static str>), String> {
    peer.restart(setting, &manner(setting, cores))?;
    let pace = Pace::Steady(RATE_PER_WORKER * cores.len() as f64);
    let mut load = start(peer, CONNECTIONS_PER_WORKER * cores.len(), pace)?;
    load.run_for(WARM_UP)?;
    let version = load.take_stats().version;
    let window = Window::run(&mut load, peer, time)?;
    Ok((window.metrics(window.stats.exchanges as f64), version))
}

/// Requests a second when every spare core asks as fast as it can.
fn throughput(
    peer: &mut Peer,
    setting: &Setting<'_>,
    cores: &[usize],
    time: Duration,
) -> Result<f64, String> {
    peer.restart(setting, &manner(setting, cores))?;
    let spare = &setting.cores.spare;
    let (peer, together) = (&*peer, Barrier::new(spare.len()));
    let one = |core: usize| -> Result<f64, String> {
        machine::pin(&[core]).map_err(|error| format!("affinity: {error}"))?;
        let load = start(peer, CONNECTIONS_PER_WORKER * cores.len(), Pace::Eager);
        // Those whose load failed are waited for, too.
        together.wait();
        let mut load = load?;
        load.run_for(WARM_UP)?;
        let window = Window::run(&mut load, peer, time)?;
        Ok(window.stats.exchanges as f64 / window.wall.as_secs_f64())
    };
    thread::scope(|scope| {
        let one = &one;
        let loads: Vec<_> = spare.iter().map(|core| scope.spawn(move || one(*core))).collect();
        let rates = loads.into_iter().map(|load| load.join().expect("a load does not panic"));
        rates.sum()
    })
}

fn manner(setting: &Setting<'_>, cores: &[usize]) -> Manner {
    let mut cores = cores.to_vec();
    cores.dedup();
    Manner { cores, ..setting.usual() }
}

fn start(peer: &Peer, connections: usize, pace: Pace) -> Result<Load, String> {
    let work = Work::Get { request: get("/bytes/1000"), status: 200, one_each: false };
    let tls = crate::load::Tls::Full(pki::client(false));
    let plan = Plan { to: peer.https, tls, connections, work, pace };
    let mut load = Load::new(plan).map_err(|error| format!("load: {error}"))?;
    load.settle()?;
    Ok(load)
}

/// Few enough that a core that is shared with the load is never full.
const RATE_PER_WORKER: f64 = 4000.0;
const CONNECTIONS_PER_WORKER: usize = 64;
const WARM_UP: Duration = Duration::from_millis(400);
/// Fewer could not keep two workers busy.
const LOADS_MIN: usize = 2;
