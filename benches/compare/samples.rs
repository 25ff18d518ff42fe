//! What was measured.

use std::collections::BTreeMap;

/// The figures of one measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Processor time of the proxy, in microseconds.
    pub cpu: f64,
    /// Requests or messages a second.
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    /// In milliseconds, as are `p50` and `p99`.
    pub p999: f64,
    pub errors: u64,
    /// Memory of one connection, in KiB.
    pub memory: f64,
}

/// The samples of all rounds, by case and candidate.
pub type Samples = BTreeMap<(&'static str, String), Vec<Sample>>;
