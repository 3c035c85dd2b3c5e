//! Where sheen must land: the one table of targets, and how each is judged.

use crate::compare::is_baseline;
use crate::peers::Kind;
use crate::spread::{Results, Spread, ratios};

#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) case: &'static str,
    pub(crate) wanted: Wanted,
    /// Why it is not reached, for the report; to be written by whoever has found out.
    pub(crate) reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wanted {
    /// CPU time per unit of work, at most this much of nginx's.
    ToNginx(f64),
    /// The same of the floor's.
    ToFloor(f64),
    /// Half of the answers come at least as early as nginx's.
    MedianAsNginx,
    /// Memory of one connection.
    KilobytesAtMost(f64),
    /// In all rounds.
    None(&'static str),
    /// The slowest percent while something changes, no slower than in the worst round without.
    CalmWhileChanging,
    /// What two workers do, to one.
    TwoWorkers(f64),
    /// CPU time with many rules, to that without.
    RulesAtMost(f64),
}

const NOT_IN_THE_FLOOR: &str =
    "encryption and two heads that are read and written anew are what the floor has not";

pub(crate) const TARGETS: [Target; 20] = [
    Target {
        reason: "one receive, one send and a wake-up alone are at 0.7: see floor",
        ..target("redirect", Wanted::ToNginx(0.70))
    },
    Target {
        reason: "where it is not: at the target within the spread",
        ..target("get-5b", Wanted::ToNginx(0.70))
    },
    Target { reason: NOT_IN_THE_FLOOR, ..target("get-5b", Wanted::ToFloor(1.35)) },
    target("get-1k", Wanted::ToNginx(0.70)),
    Target { reason: NOT_IN_THE_FLOOR, ..target("get-1k", Wanted::ToFloor(1.35)) },
    target("get-10k", Wanted::ToNginx(0.70)),
    Target { reason: NOT_IN_THE_FLOOR, ..target("get-10k", Wanted::ToFloor(1.35)) },
    Target {
        reason: "a bare relay without TLS is beyond the target too: see floor",
        ..target("download", Wanted::ToNginx(0.42))
    },
    Target {
        reason: "where it is not, a bare relay without TLS is beyond the target too: see floor",
        ..target("upload", Wanted::ToNginx(0.50))
    },
    target("handshake-full", Wanted::ToNginx(0.50)),
    target("handshake-resumed", Wanted::ToNginx(0.50)),
    Target {
        reason: "a bare relay without TLS leaves 0.04 of nginx's time for all of TLS: see floor",
        ..target("echo-64", Wanted::ToNginx(0.70))
    },
    Target {
        reason: "going to sleep and waking up is nearly all of it, for the bare relay too: see floor",
        ..target("echo-one", Wanted::ToNginx(0.95))
    },
    Target {
        reason: "the medians differ by less than their spread",
        ..target("echo-one", Wanted::MedianAsNginx)
    },
    target("idle", Wanted::KilobytesAtMost(5.0)),
    target("swap", Wanted::None("failed")),
    target("swap", Wanted::None("closed")),
    target("swap", Wanted::CalmWhileChanging),
    target("scaling", Wanted::TwoWorkers(1.85)),
    Target {
        reason: "nginx pays as much for the same file: see its row",
        ..target("rules", Wanted::RulesAtMost(1.05))
    },
];

/// [`Target::reason`] is filled in as `Target { reason: "...", ..target(...) }`.
const fn target(case: &'static str, wanted: Wanted) -> Target {
    Target { case, wanted, reason: "" }
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) value: String,
    pub(crate) reached: bool,
}

impl Target {
    pub(crate) fn of(case: &str) -> impl Iterator<Item = &'static Self> {
        TARGETS.iter().filter(move |target| target.case == case)
    }

    /// `None` when it was not measured.
    pub(crate) fn judge(&self, results: &Results) -> Option<Found> {
        let own = results.get(Kind::Sheen.word())?;
        let to = |base: &str, metric: &str| {
            Spread::of(&ratios(results, Kind::Sheen.word(), base, metric))
        };
        let nginx = results.keys().find(|name| is_baseline(name));
        let (spread, reached) = match self.wanted {
            Wanted::ToNginx(most) => at_most(to(nginx?, "cost")?, most),
            Wanted::ToFloor(most) => at_most(to(Kind::Floor.word(), "cost")?, most),
            Wanted::MedianAsNginx => at_most(to(nginx?, "p50_us")?, 1.0),
            Wanted::KilobytesAtMost(most) => at_most(own.spread("cost")?, most),
            Wanted::None(metric) => {
                let spread = own.spread(metric)?;
                return Some(Found {
                    value: format!("{:.0}", spread.max),
                    reached: spread.max == 0.0,
                });
            }
            Wanted::CalmWhileChanging => {
                let (during, quiet) = (own.spread("p99_during_us")?, own.spread("p99_quiet_us")?);
                let value = format!("{:.0} us; {:.0} without", during.median, quiet.max);
                return Some(Found { value, reached: during.median <= quiet.max });
            }
            Wanted::TwoWorkers(least) => {
                let spread = own.spread("gain")?;
                (spread, shown(spread.median) >= least)
            }
            Wanted::RulesAtMost(most) => at_most(own.spread("over_plain")?, most),
        };
        let Spread { median, min, max } = spread;
        Some(Found { value: format!("{median:.2} ({min:.2}-{max:.2})"), reached })
    }
}

impl Wanted {
    pub(crate) fn words(self) -> String {
        match self {
            Self::ToNginx(most) => format!("{most:.2} of nginx's CPU time"),
            Self::ToFloor(most) => format!("{most:.2} of the floor's CPU time"),
            Self::MedianAsNginx => "p50 no worse than nginx's".to_owned(),
            Self::KilobytesAtMost(most) => format!("{most:.0} kB each"),
            Self::None(metric) => format!("0 {metric}"),
            Self::CalmWhileChanging => "p99 within noise".to_owned(),
            Self::TwoWorkers(least) => format!("2 workers do {least:.2} of 1"),
            Self::RulesAtMost(most) => format!("{most:.2} of the CPU time without rules"),
        }
    }
}

fn at_most(spread: Spread, most: f64) -> (Spread, bool) {
    (spread, shown(spread.median) <= most)
}

/// As it is printed: nobody shall read "0.70" and "not reached".
fn shown(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::CASES;
    use crate::compare::Rounds;

    #[test]
    fn every_target_is_of_a_case() {
        for target in &TARGETS {
            assert!(CASES.iter().any(|case| case.word == target.case), "{}", target.case);
        }
    }

    #[test]
    fn targets_are_judged_by_what_is_printed() {
        let rounds = |metric, values: &[f64]| Rounds {
            samples: values.iter().map(|value| [(metric, *value)].into()).collect(),
            ..Rounds::default()
        };
        let mut results = Results::new();
        results.insert("nginx".to_owned(), rounds("cost", &[10.0, 10.0]));
        let judge = |results: &Results, wanted| target("get-1k", wanted).judge(results);
        assert_eq!(judge(&results, Wanted::ToNginx(0.70)), None);
        results.insert("sheen".to_owned(), rounds("cost", &[7.04, 7.0]));
        assert!(judge(&results, Wanted::ToNginx(0.70)).unwrap().reached);
        assert!(!judge(&results, Wanted::ToNginx(0.69)).unwrap().reached);
        assert_eq!(judge(&results, Wanted::ToFloor(1.35)), None);
        results.insert("sheen".to_owned(), rounds("failed", &[0.0, 1.0]));
        assert!(!judge(&results, Wanted::None("failed")).unwrap().reached);
        results.insert("sheen".to_owned(), rounds("gain", &[1.9, 1.8]));
        assert!(judge(&results, Wanted::TwoWorkers(1.85)).unwrap().reached);
    }
}
