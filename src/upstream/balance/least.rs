//! The server with the fewest requests for its weight: of all, or of two by chance.

use super::super::load::Load;
use super::Share;

#[derive(Debug)]
pub struct Least {
    servers: Vec<(Load, u32)>,
}

/// What a request costs at a server of weight 1; weights go to 1000.
const ONE: u32 = 1000 * 60;

impl Least {
    pub fn new(shares: &[Share<'_>]) -> Self {
        Self { servers: shares.iter().map(|share| (share.load.clone(), ONE / share.weight.clamp(1, 1000))).collect() }
    }

    /// With one more request. Lower is better.
    fn score(&self, index: usize) -> u64 {
        let (load, cost) = &self.servers[index];
        (u64::from(load.get()) + 1) * u64::from(*cost)
    }

    /// Of equals another one each time.
    pub fn least(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let count = self.servers.len();
        let start = fastrand::usize(..count.max(1));
        let mut best = (u64::MAX, None);
        for index in (start..count).chain(0..start) {
            let score = self.score(index);
            if score < best.0 && may(index) {
                best = (score, Some(index));
            }
        }
        best.1
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
        let (better, worse) = if self.score(one) <= self.score(other) { (one, other) } else { (other, one) };
        if may(better) { Some(better) } else { may(worse).then_some(worse) }
    }
}
