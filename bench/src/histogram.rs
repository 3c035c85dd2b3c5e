//! Latencies, counted in buckets no wider than 1.6 % of their value.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns).min(BUCKETS - 1)] += 1;
        self.total += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
        self.total += other.total;
    }

    /// The value that `share` of all are not above, in microseconds; `None` when nothing was
    /// counted.
    pub(crate) fn quantile_us(&self, share: f64) -> Option<f64> {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.filter(|_| self.total > 0).map(|bucket| middle(bucket) / 1000.0)
    }
}

/// Values below 64 have a bucket each; every power of two above has 64.
fn bucket(ns: u64) -> usize {
    let exponent = (u64::BITS - ns.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (exponent as usize) * STEPS + (ns >> exponent) as usize
}

fn middle(bucket: usize) -> f64 {
    if bucket < 2 * STEPS {
        return bucket as f64;
    }
    let exponent = bucket / STEPS - 1;
    let step = bucket - exponent * STEPS;
    (step as f64 + 0.5) * (1u64 << exponent) as f64
}

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
/// Up to about 18 minutes.
const BUCKETS: usize = STEPS * 35;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_two_percent() {
        let mut histogram = Histogram::default();
        for us in 1..=10_000 {
            histogram.add(Duration::from_micros(us));
        }
        for share in [0.5, 0.99, 0.999, 1.0] {
            let (found, real) = (histogram.quantile_us(share).unwrap(), share * 10_000.0);
            assert!((found - real).abs() / real < 0.02, "{share}: {found} for {real}");
        }
        let median = histogram.quantile_us(0.5);
        histogram.merge(&histogram.clone());
        assert_eq!(histogram.quantile_us(0.5), median);
        assert_eq!(Histogram::default().quantile_us(0.5), None);
    }
}
