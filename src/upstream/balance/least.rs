//! The server with the fewest requests for its weight: of all, or of two by chance.

use std::cmp::Ordering;

use super::super::load::Load;
use super::Share;

#[derive(Debug)]
pub struct Least {
    servers: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    load: Load,
    weight: u32,
    cost: u32,
}

/// What a request costs at a server of weight 1; weights go to 1000.
const ONE: u32 = 1 << 24;

impl Least {
    pub fn new(shares: &[Share<'_>]) -> Self {
        let candidate = |share: &Share<'_>| {
            let weight = share.weight.clamp(1, 1000);
            Candidate { load: share.load.clone(), weight, cost: ONE / weight }
        };
        Self { servers: shares.iter().map(candidate).collect() }
    }

    /// Of equals another one each time, by weight.
    pub fn least(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        // To ask of each server whether it may is to look at each, far from its counter.
        self.draw(|_| true).filter(|index| may(*index)).or_else(|| self.draw(may))
    }

    fn draw(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut ties, mut first) = (u64::MAX, 0, None);
        for (index, server) in self.servers.iter().enumerate() {
            let score = server.score();
            if score <= best && may(index) {
                if score < best {
                    (best, ties, first) = (score, 0, Some(index));
                }
                ties += server.weight;
            }
        }
        let mut wanted = if first.is_some() { fastrand::u32(..ties.max(1)) } else { return None };
        for (index, server) in self.servers.iter().enumerate() {
            if server.score() == best && may(index) {
                if wanted < server.weight {
                    return Some(index);
                }
                wanted -= server.weight;
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
        let is_first = match a.score().cmp(&b.score()) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => fastrand::u32(..a.weight + b.weight) < a.weight,
        };
        let (better, worse) = if is_first { (one, other) } else { (other, one) };
        if may(better) { Some(better) } else { may(worse).then_some(worse) }
    }
}

impl Candidate {
    /// Requests for its weight. Lower is better.
    fn score(&self) -> u64 {
        u64::from(self.load.get()) * u64::from(self.cost)
    }
}
