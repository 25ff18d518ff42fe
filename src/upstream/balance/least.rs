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

    /// Of equals another one each time.
    pub fn least(&self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let (mut best, mut ties, mut first) = (u64::MAX, 0, None);
        for (index, server) in self.servers.iter().enumerate() {
            let score = score(server);
            if score <= best && may(index) {
                if score < best {
                    (best, ties, first) = (score, 0, Some(index));
                }
                ties += 1;
            }
        }
        // Loads go on changing meanwhile: what was found first is good enough then.
        let wanted = if ties > 1 { fastrand::usize(..ties) } else { return first };
        let tied = self.servers.iter().enumerate().filter(|(index, server)| score(server) == best && may(*index));
        tied.map(|(index, _)| index).nth(wanted).or(first)
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
        let score = |index: usize| score(&self.servers[index]);
        let (better, worse) = if score(one) <= score(other) { (one, other) } else { (other, one) };
        if may(better) { Some(better) } else { may(worse).then_some(worse) }
    }
}

/// With one more request. Lower is better.
fn score((load, cost): &(Load, u32)) -> u64 {
    (u64::from(load.get()) + 1) * u64::from(*cost)
}
