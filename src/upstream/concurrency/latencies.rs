//! How long answers took, of which the median is wanted: a histogram of atomic counters with sixteen
//! steps for each doubling, so that a median is known to about six percent.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Steps for each doubling, as bits.
const STEP_BITS: u32 = 4;
const STEPS: usize = 1 << STEP_BITS;
/// More than an hour, in microseconds, is as long as an hour.
const MOST_BITS: usize = 32;

#[derive(Debug)]
pub(super) struct Latencies {
    counts: Box<[AtomicU32]>,
    total: AtomicU32,
}

impl Default for Latencies {
    fn default() -> Self {
        let counts = (0..MOST_BITS * STEPS).map(|_| AtomicU32::new(0)).collect();
        Self { counts, total: AtomicU32::new(0) }
    }
}

/// The counter of a time, in microseconds.
fn place(micros: u64) -> usize {
    let micros = micros.clamp(STEPS as u64, u64::from(u32::MAX));
    let doubling = micros.ilog2();
    let step = usize::try_from(micros >> (doubling - STEP_BITS)).unwrap_or(STEPS) - STEPS;
    usize::try_from(doubling).unwrap_or(0) * STEPS + step
}

/// The middle of what a counter counts.
fn middle(place: usize) -> Duration {
    let (doubling, step) = (place / STEPS, place % STEPS);
    let least = ((STEPS + step) as u64) << doubling >> STEP_BITS;
    let width = (1_u64 << doubling) >> STEP_BITS;
    Duration::from_micros(least + width / 2)
}

impl Latencies {
    /// Returns how many there are.
    pub fn add(&self, latency: Duration) -> u32 {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get(place(micros)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.total.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The median, after which the counting begins anew; `None` of nothing.
    pub fn take_median(&self) -> Option<Duration> {
        let counts: Vec<u32> = self.counts.iter().map(|count| count.swap(0, Ordering::Relaxed)).collect();
        self.total.store(0, Ordering::Relaxed);
        let half = counts.iter().map(|count| u64::from(*count)).sum::<u64>().div_ceil(2);
        let mut below = 0;
        let median = counts.iter().position(|count| {
            below += u64::from(*count);
            below >= half && half > 0
        });
        median.map(middle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_known_to_a_few_percent() {
        for micros in [16, 100, 999, 20_000, 123_456, 60_000_000] {
            let latencies = Latencies::default();
            for factor in [1, 1, 1, 1000, 100_000] {
                latencies.add(Duration::from_micros(micros * factor));
            }
            let median = latencies.take_median().unwrap().as_micros() as f64;
            assert!((median / micros as f64 - 1.0).abs() < 0.07, "{micros}: {median}");
            assert!(latencies.take_median().is_none());
        }
    }

    #[test]
    fn what_is_very_short_or_very_long_is_counted_too() {
        let latencies = Latencies::default();
        assert_eq!(latencies.add(Duration::ZERO), 1);
        assert!(latencies.take_median().unwrap() < Duration::from_micros(20));
        latencies.add(Duration::MAX);
        assert!(latencies.take_median().unwrap() > Duration::from_secs(3600));
    }
}
