//! The endpoint with the fewest requests for its weight: of all, or of two random ones.

use std::cmp::Ordering;

use super::weighted_endpoint::WeightedEndpoint;
use crate::upstream::load::Load;

#[derive(Debug)]
pub struct LeastConn {
    endpoints: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    load: Load,
    weight: u32,
    cost: u32,
}

/// What a request costs at an endpoint of weight 1; weights go up to 1000.
const UNIT_COST: u32 = 1 << 24;

impl LeastConn {
    pub fn new(endpoints: &[WeightedEndpoint<'_>]) -> Self {
        let candidate = |endpoint: &WeightedEndpoint<'_>| {
            let weight = endpoint.weight.clamp(1, 1000);
            Candidate { load: endpoint.load.clone(), weight, cost: UNIT_COST / weight }
        };
        Self { endpoints: endpoints.iter().map(candidate).collect() }
    }

    /// The least loaded endpoint. Among equals the choice is random, by weight.
    pub fn least(&self, is_eligible: impl Fn(usize) -> bool) -> Option<usize> {
        // Whether an endpoint is eligible is stored far from its counter, so that it is asked
        // of the chosen one first and of all only where that one is not.
        self.draw(|_| true).filter(|index| is_eligible(*index)).or_else(|| self.draw(is_eligible))
    }

    fn draw(&self, is_eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut ties, mut first) = (u64::MAX, 0, None);
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let score = endpoint.score();
            if score <= best && is_eligible(index) {
                if score < best {
                    (best, ties, first) = (score, 0, Some(index));
                }
                ties += endpoint.weight;
            }
        }
        let mut wanted = if first.is_some() { fastrand::u32(..ties.max(1)) } else { return None };
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            if endpoint.score() == best && is_eligible(index) {
                if wanted < endpoint.weight {
                    return Some(index);
                }
                wanted -= endpoint.weight;
            }
        }
        // Loads have changed since the first pass: the first candidate is good enough then.
        first
    }

    /// The less loaded of two random endpoints; `None` when neither is eligible.
    pub fn less_of_two(&self, is_eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.endpoints.len();
        if count < 2 {
            return (count == 1 && is_eligible(0)).then_some(0);
        }
        let one = fastrand::usize(..count);
        let other = fastrand::usize(..count - 1);
        let other = if other >= one { other + 1 } else { other };
        let (a, b) = (&self.endpoints[one], &self.endpoints[other]);
        let is_first = match a.score().cmp(&b.score()) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => fastrand::u32(..a.weight + b.weight) < a.weight,
        };
        let (better, worse) = if is_first { (one, other) } else { (other, one) };
        if is_eligible(better) { Some(better) } else { is_eligible(worse).then_some(worse) }
    }
}

impl Candidate {
    /// Requests in proportion to the weight. Lower is better.
    fn score(&self) -> u64 {
        u64::from(self.load.get()) * u64::from(self.cost)
    }
}
