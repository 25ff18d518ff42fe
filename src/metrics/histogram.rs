//! How long something took: a count for each bucket, and the sum.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in nanoseconds and as a label says them, in seconds. They reach from a
/// proxy's own part of a request to the deadlines of its upstreams.
pub const BOUNDS: [(u64, &str); 15] = [
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (2_500_000, "0.0025"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1.0"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5.0"),
    (10_000_000_000, "10.0"),
    (30_000_000_000, "30.0"),
];

/// One for each bound, and one above all of them.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// The cells of one thread.
#[derive(Debug, Default)]
pub struct Buckets {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Buckets {
    /// Counts one that took this many nanoseconds, and returns its bucket.
    pub fn observe(&self, nanos: u64) -> usize {
        let bucket = bucket_of(nanos);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
        bucket
    }
}

/// A bound belongs to its bucket.
fn bucket_of(nanos: u64) -> usize {
    BOUNDS.iter().position(|(bound, _)| nanos <= *bound).unwrap_or(BOUNDS.len())
}

pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// What was read of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Of each bucket alone.
    pub counts: [u64; BUCKETS],
    sum_nanos: u64,
}

impl Histogram {
    pub fn add(&mut self, buckets: &Buckets) {
        for (count, cell) in self.counts.iter_mut().zip(&buckets.counts) {
            *count += cell.load(Ordering::Relaxed);
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(buckets.sum.load(Ordering::Relaxed));
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (nanos, bucket) in
            [(0, 0), (500_000, 0), (500_001, 1), (30_000_000_000, 14), (30_000_000_001, 15), (u64::MAX, 15)]
        {
            assert_eq!(bucket_of(nanos), bucket, "{nanos}");
        }
    }

    #[test]
    fn labels_say_the_bounds() {
        for (nanos, seconds) in BOUNDS {
            let said = seconds.parse::<f64>().unwrap() * 1e9;
            assert!((said - nanos as f64).abs() < 0.5, "{seconds}");
        }
        assert!(BOUNDS.is_sorted_by_key(|(nanos, _)| *nanos));
    }
}
