//! The outcome of a workload.

use std::time::Duration;

/// What was answered, how fast, and what failed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub done: u64,
    /// Answers that were not 200 or not whole, and connections that broke.
    pub errors: u64,
    /// In microseconds, sorted.
    pub latencies: Vec<u32>,
    pub took: Duration,
}

impl Outcome {
    pub fn of(parts: impl IntoIterator<Item = Self>, took: Duration) -> Self {
        let mut all = Self { took, ..Self::default() };
        for part in parts {
            all.done += part.done;
            all.errors += part.errors;
            all.latencies.extend(part.latencies);
        }
        all.latencies.sort_unstable();
        all
    }

    pub fn note(&mut self, latency: Duration) {
        self.done += 1;
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }
}
