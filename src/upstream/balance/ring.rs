//! Consistent hashing: each endpoint has many points on a ring, and a key goes to the next
//! point. When an endpoint leaves, only its own keys move.

use super::weighted_endpoint::WeightedEndpoint;
use crate::message::hash::{hash, scatter};

/// The points of an endpoint of weight 1.
const POINTS: u64 = 160;
/// The greatest number of points of a ring: a few megabytes, and a search of twenty steps.
const MAX_POINTS: u64 = 1 << 20;

#[derive(Debug)]
pub struct Ring {
    /// Sorted.
    points: Vec<(u64, u32)>,
}

impl Ring {
    pub fn new(endpoints: &[WeightedEndpoint<'_>]) -> Self {
        let total: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
        // The points of each endpoint are halved until all fit, so that their number rarely
        // changes when an endpoint comes or goes.
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

    /// The next endpoint on the ring that is eligible.
    pub fn choose(&self, hash: u64, is_eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let start = self.points.partition_point(|(point, _)| *point < hash);
        let onward = self.points.get(start..).unwrap_or_default().iter().chain(&self.points);
        let mut last = None;
        for (_, index) in onward.take(self.points.len()) {
            // The next point often belongs to the same endpoint, which was asked about just now.
            if last != Some(index) && is_eligible(usize::try_from(*index).unwrap_or(0)) {
                return usize::try_from(*index).ok();
            }
            last = Some(index);
        }
        None
    }
}
