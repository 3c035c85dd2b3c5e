//! Several rounds of one number, and what they say about two peers.

use std::collections::BTreeMap;

use crate::compare::{Rounds, is_baseline};

pub(crate) type Results = BTreeMap<String, Rounds>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` for nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let values = sorted(values);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, min, max })
    }
}

impl Rounds {
    pub(crate) fn spread(&self, metric: &str) -> Option<Spread> {
        let values = self.samples.iter().filter_map(|sample| sample.get(metric).copied());
        Spread::of(&values.collect::<Vec<_>>())
    }

    pub(crate) fn median(&self, metric: &str) -> Option<f64> {
        self.spread(metric).map(|spread| spread.median)
    }
}

/// A metric of one peer to another's, within each round: what disturbs a round disturbs both. Where
/// rounds are missing, the ratio of the medians alone.
pub(crate) fn ratios(results: &Results, name: &str, base: &str, metric: &str) -> Vec<f64> {
    let (Some(own), Some(base)) = (results.get(name), results.get(base)) else {
        return Vec::new();
    };
    if own.samples.len() != base.samples.len() {
        let medians = own.median(metric).zip(base.median(metric));
        return medians.map(|(own, base)| own / base).into_iter().collect();
    }
    let pairs = own.samples.iter().zip(&base.samples);
    let ratios = pairs.filter_map(|(own, base)| Some(own.get(metric)? / base.get(metric)?));
    ratios.filter(|ratio| ratio.is_finite()).collect()
}

/// The median of what one peer costs, to nginx.
pub(crate) fn to_nginx(results: &Results, name: &str) -> Option<f64> {
    let base = results.keys().find(|name| is_baseline(name))?;
    Spread::of(&ratios(results, name, base, "cost")).map(|spread| spread.median)
}

/// One build against another: where the true ratio is, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Versus {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// That the interval holds the true median of the ratios.
    pub(crate) confidence: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Less,
    More,
    Noise,
    /// Nothing can be said of so few.
    MoreRounds,
}

impl Versus {
    /// The interval between two of the ratios that a coin would miss least often, with 95 % where
    /// there are enough of them. It assumes nothing about how noise is distributed.
    pub(crate) fn of(ratios: &[f64]) -> Option<Self> {
        let values = sorted(ratios);
        let median = Spread::of(&values)?.median;
        let last = values.len() - 1;
        let sure = |cut: usize| 1.0 - 2.0 * share_of_heads_up_to(cut, values.len());
        let cut = (0..=last / 2).rev().find(|cut| sure(*cut) >= CONFIDENCE_WANTED).unwrap_or(0);
        Some(Self { median, low: values[cut], high: values[last - cut], confidence: sure(cut) })
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            _ if self.confidence < CONFIDENCE_MIN => Verdict::MoreRounds,
            _ if self.high < 1.0 => Verdict::Less,
            _ if self.low > 1.0 => Verdict::More,
            _ => Verdict::Noise,
        }
    }
}

impl Verdict {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Less => "less, outside the noise",
            Self::More => "more, outside the noise",
            Self::Noise => "inside the noise",
            Self::MoreRounds => "too few rounds: at least 5",
        }
    }
}

/// How often a coin shows at most `cut` heads in `n` throws.
fn share_of_heads_up_to(cut: usize, n: usize) -> f64 {
    let mut term = 0.5f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut sum = term;
    for heads in 1..=cut {
        term *= (n - heads + 1) as f64 / heads as f64;
        sum += term;
    }
    sum
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

const CONFIDENCE_WANTED: f64 = 0.95;
/// That of five rounds, smallest to largest.
const CONFIDENCE_MIN: f64 = 0.93;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let rounds = |costs: &[f64]| Rounds {
            samples: costs.iter().map(|cost| BTreeMap::from([("cost", *cost)])).collect(),
            ..Rounds::default()
        };
        let mut results = Results::new();
        results.insert("sheen".to_owned(), rounds(&[1.0, 10.0, 3.0]));
        results.insert("nginx".to_owned(), rounds(&[2.0, 20.0, 4.0]));
        assert_eq!(ratios(&results, "sheen", "nginx", "cost"), [0.5, 0.5, 0.75]);
        assert_eq!(to_nginx(&results, "sheen"), Some(0.5));
        results.insert("sheen".to_owned(), rounds(&[1.0]));
        assert_eq!(ratios(&results, "sheen", "nginx", "cost"), [0.25]);
        assert_eq!(to_nginx(&results, "nobody"), None);
    }

    #[test]
    fn a_verdict_wants_rounds_that_agree() {
        let verdict = |ratios: &[f64]| Versus::of(ratios).unwrap().verdict();
        assert_eq!(verdict(&[0.9, 0.91, 0.92, 0.93]), Verdict::MoreRounds);
        assert_eq!(verdict(&[0.9, 0.91, 0.92, 0.93, 0.99]), Verdict::Less);
        assert_eq!(verdict(&[0.9, 0.91, 0.92, 0.93, 1.01]), Verdict::Noise);
        assert_eq!(verdict(&[1.02; 6]), Verdict::More);
        // Of ten rounds one may stray on either side.
        let mut ten = vec![0.95; 9];
        ten.push(1.2);
        assert_eq!(verdict(&ten), Verdict::Less);
        ten[0] = 1.2;
        assert_eq!(verdict(&ten), Verdict::Noise);
        assert_eq!(Versus::of(&[]), None);
    }
}
