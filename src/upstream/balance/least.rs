//! The server with the fewest requests for its weight: of all, or of two by chance.

use std::cmp::Ordering;

use super::super::load::Load;
use super::Share;

#[derive(Debug)]
pub struct Least {
    servers: Vec<(Load, u32)>,
}

/// What a request costs at a server of weight 1; weights go to 1000.
const ONE: u32 = 1 << 24;

impl Least {
    pub fn new(shares: &[Share<'_>]) -> Self {
        Self { servers: shares.iter().map(|share| (share.load.clone(), ONE / share.weight.clamp(1, 1000))).collect() }
    }

    /// Of equals another one each time, by weight.
    pub fn least(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut ties, mut first) = (u64::MAX, 0, None);
        for (index, server) in self.servers.iter().enumerate() {
            let score = score(server);
            if score <= best && may(index) {
                if score < best {
                    (best, ties, first) = (score, 0, Some(index));
                }
                ties += weight(server);
            }
        }
        let mut wanted = if first.is_some() { fastrand::u32(..ties.max(1)) } else { return None };
        for (index, server) in self.servers.iter().enumerate() {
            if score(server) == best && may(index) {
                if wanted < weight(server) {
                    return Some(index);
                }
                wanted -= weight(server);
            }
        }
        // Loads go on changing meanwhile: what was found first is good enough then.
        first
    }

    /// `None` when neither of the two may.
    pub fn less_of_two(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.servers.len();
        if count < 2 {
            return (count == 1 && may(0)).then_some(0);
        }
        let one = fastrand::usize(..count);
        let other = fastrand::usize(..count - 1);
        let other = if other >= one { other + 1 } else { other };
        let (a, b) = (&self.servers[one], &self.servers[other]);
        let is_first = match score(a).cmp(&score(b)) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => fastrand::u32(..weight(a) + weight(b)) < weight(a),
        };
        let (better, worse) = if is_first { (one, other) } else { (other, one) };
        if may(better) { Some(better) } else { may(worse).then_some(worse) }
    }
}

/// Requests for its weight. Lower is better.
fn score((load, cost): &(Load, u32)) -> u64 {
    u64::from(load.get()) * u64::from(*cost)
}

fn weight((_, cost): &(Load, u32)) -> u32 {
    ONE / cost
}
