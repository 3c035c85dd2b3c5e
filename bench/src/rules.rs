//! What many rules in an nginx.conf cost a request: the same file with 50 locations, two maps and a
//! rewrite, and without.

use std::time::Duration;

use crate::cases::Case;
use crate::load::Load;
use crate::measure::{Measured, Metrics, Window};
use crate::peers::{Language, Manner, Peer, Setting};

/// One after the other, in processes of their own; once more in the opposite order, so that what the
/// machine does meanwhile is on both sides.
pub(crate) fn measure(
    case: &Case,
    peer: &mut Peer,
    setting: &Setting<'_>,
    time: Duration,
) -> Result<Measured, String> {
    let (plain, with) = (Language::NginxConf, Language::NginxConfWithRules);
    let mut costs = [0.0, 0.0];
    let (mut metrics, mut version) = (Metrics::new(), None);
    for (at, language) in [(0, plain), (1, with), (1, with), (0, plain)] {
        let manner = Manner { language, ..setting.usual() };
        peer.restart(setting, &manner)?;
        let mut load = Load::new(case.plan(peer, 0)).map_err(|error| format!("load: {error}"))?;
        load.settle()?;
        load.run_for(WARM_UP)?;
        version = load.take_stats().version;
        let window = Window::run(&mut load, peer, time)?;
        let found = window.metrics(window.stats.exchanges as f64);
        costs[at] += found.get("cost").copied().unwrap_or(f64::NAN) / 2.0;
        if language == with {
            metrics = found;
        }
    }
    let [plain, with] = costs;
    metrics.extend([("cost", with), ("cost_plain", plain), ("over_plain", with / plain)]);
    Ok(Measured { metrics, version, complaint: None })
}

const WARM_UP: Duration = Duration::from_millis(400);
