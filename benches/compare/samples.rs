//! What was measured.

use std::collections::BTreeMap;

/// Of one measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Processor time of the proxy, in microseconds.
    pub cpu: f64,
    /// Requests or messages a second.
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    /// In milliseconds, as the two above.
    pub p999: f64,
    pub errors: u64,
    /// Of one connection, in KiB.
    pub memory: f64,
}

/// By case and candidate, a sample for each round.
pub type Samples = BTreeMap<(&'static str, String), Vec<Sample>>;
