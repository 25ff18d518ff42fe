//! Consistent hashing: each server stands at many points of a ring, a key goes to the
//! next one. When a server leaves, only its own keys move.

use super::weighted_endpoint::WeightedEndpoint;
use crate::message::hash::{hash, scatter};

/// Points of a server of weight 1.
const POINTS: u64 = 160;
/// Points of all: a few megabytes, and a search of twenty steps.
const MAX_POINTS: u64 = 1 << 20;

#[derive(Debug)]
pub struct Ring {
    /// Sorted.
    points: Vec<(u64, u32)>,
}

impl Ring {
    pub fn new(endpoints: &[WeightedEndpoint<'_>]) -> Self {
        let total: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
        // Halved until they fit, so that it does not change with each server.
        let mut each = POINTS * 256;
        while each > 256 && (total * each / 256) > MAX_POINTS {
            each /= 2;
        }
        let mut points = Vec::new();
        for (index, endpoint) in (0..).zip(endpoints) {
            let count = (u64::from(endpoint.weight) * each / 256).max(1);
            points.extend((0..count).map(|n| (scatter(hash(endpoint.name.as_bytes()).wrapping_add(n)), index)));
        }
        points.sort_unstable();
        Self { points }
    }

    /// The next one on the ring that `may`.
    pub fn choose(&self, hash: u64, is_eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let onward = self.points.get(start..).unwrap_or_default().iter().chain(&self.points);
        let mut last = None;
        for (_, index) in onward.take(self.points.len()) {
            // Neighbours are often the same server, which was asked about just now.
            if last != Some(index) && is_eligible(usize::try_from(*index).unwrap_or(0)) {
                return usize::try_from(*index).ok();
            }
            last = Some(index);
        }
        None
    }
}
