//! What many rules in an nginx.conf cost a request: the same file with 50 locations, two maps and a
//! rewrite, and without.

use std::time::Duration;

use crate::cases::Case;
use crate::measure::{self, Measured};
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
    let mut last_with = None;
    for (at, language) in [(0, plain), (1, with), (1, with), (0, plain)] {
        peer.restart(setting, &Manner { language, ..setting.usual() })?;
        let measured = measure::measure(case, peer, time, 0)?;
        costs[at] += measured.metrics.get("cost").copied().unwrap_or(f64::NAN) / 2.0;
        if language == with {
            last_with = Some(measured);
        }
    }
    let mut measured = last_with.ok_or("nothing was measured")?;
    let [plain, with] = costs;
    let costs = [("cost", with), ("cost_plain", plain), ("over_plain", with / plain)];
    measured.metrics.extend(costs);
    Ok(measured)
}
