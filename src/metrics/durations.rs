//! A histogram without a lock: the library's takes one for each observation, and every request would queue at it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// Upper bounds in nanoseconds, inclusive: from a fifth of a decision of the usual kind to past the proxy's own
/// time limit of 200 ms.
const BOUNDS: [u64; 15] = [
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
];

/// How often something took how long; a clone counts into the same buckets.
#[derive(Debug, Clone, Default)]
pub(super) struct Durations(Arc<Buckets>);

#[derive(Debug, Default)]
struct Buckets {
    counts: [AtomicU64; BOUNDS.len()],
    beyond: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Durations {
    /// Counts one.
    pub(super) fn observe(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let mut buckets = BOUNDS.iter().zip(&self.0.counts);
        let bucket = buckets.find(|(bound, _)| nanoseconds <= **bound).map_or(&self.0.beyond, |(_, count)| count);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.0.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl EncodeMetric for Durations {
    /// The count is the sum of the buckets as they were read, so that the two agree while others count on.
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let bounds = BOUNDS.iter().map(|bound| seconds(*bound)).chain([f64::INFINITY]);
        let counts = self.0.counts.iter().chain([&self.0.beyond]).map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = seconds(self.0.nanoseconds.load(Ordering::Relaxed));
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Durations {
    const TYPE: MetricType = MetricType::Histogram;
}

fn seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket_and_what_is_longer_to_the_next() {
        let durations = Durations::default();
        for took in [0, 5_000, 5_001, 250_000_000, 250_000_001] {
            durations.observe(Duration::from_nanos(took));
        }
        let mut registry = Registry::default();
        registry.register("d", "", durations);
        let mut encoded = String::new();
        text::encode(&mut encoded, &registry).unwrap();
        for line in [
            "d_sum 0.500010002",
            "d_count 5",
            "d_bucket{le=\"0.000005\"} 2",
            "d_bucket{le=\"0.00001\"} 3",
            "d_bucket{le=\"0.1\"} 3",
            "d_bucket{le=\"0.25\"} 4",
            "d_bucket{le=\"+Inf\"} 5",
        ] {
            assert!(encoded.lines().any(|found| found == line), "no `{line}` in:\n{encoded}");
        }
    }

    #[test]
    fn the_longest_duration_is_counted() {
        let durations = Durations::default();
        durations.observe(Duration::MAX);
        assert_eq!(durations.0.beyond.load(Ordering::Relaxed), 1);
    }
}
