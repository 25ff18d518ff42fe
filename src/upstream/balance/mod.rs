//! Whose turn it is. A [`Chooser`] is made for the servers that are there and made anew
//! when they change, so that choosing looks nothing up. Must not know why a server is
//! there or not.

mod least;
mod ring;
mod round_robin;

use super::load::Load;
use super::lots::Lots;
use crate::config::Balance;
use least::Least;
use ring::Ring;
use round_robin::RoundRobin;

/// A server as balancing sees it.
#[derive(Debug)]
pub struct Share<'s> {
    /// At least 1.
    pub weight: u32,
    pub load: &'s Load,
    /// What its place on the ring follows from.
    pub name: &'s str,
}

#[derive(Debug)]
pub enum Chooser {
    RoundRobin(RoundRobin),
    Least(Least),
    P2c(Least),
    Random(Lots),
    Ring(Ring, RoundRobin),
}

/// How often chance and turns are asked before the servers are gone through in order.
const TRIES: usize = 4;

impl Chooser {
    /// `turn`: where the turns of the one before had come to.
    pub fn new(balance: &Balance, shares: &[Share<'_>], turn: usize) -> Self {
        let weights: Vec<u32> = shares.iter().map(|share| share.weight).collect();
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(&weights, turn)),
            Balance::LeastConn => Self::Least(Least::new(shares)),
            Balance::P2c => Self::P2c(Least::new(shares)),
            Balance::Random => Self::Random(Lots::new(weights)),
            Balance::Hash(_) => Self::Ring(Ring::new(shares), RoundRobin::new(&weights, turn)),
        }
    }

    pub fn turn(&self) -> usize {
        match self {
            Self::RoundRobin(turns) | Self::Ring(_, turns) => turns.turn(),
            Self::Least(_) | Self::P2c(_) | Self::Random(_) => 0,
        }
    }

    /// The best of those that `may`; `hash` is of what tells the client apart, where it
    /// has that. `None` when chance found none.
    pub fn choose(&self, hash: Option<u64>, may: impl Fn(usize) -> bool) -> Option<usize> {
        match (self, hash) {
            (Self::Ring(ring, _), Some(hash)) => ring.choose(hash, may),
            (Self::RoundRobin(turns) | Self::Ring(_, turns), _) => (0..TRIES).map(|_| turns.pick()).find(|i| may(*i)),
            (Self::Least(least), _) => least.least(may),
            (Self::P2c(least), _) => (0..TRIES).find_map(|_| least.less_of_two(&may)),
            (Self::Random(lots), _) => (0..TRIES).map(|_| lots.by_chance()).find(|i| may(*i)),
        }
    }
}

#[cfg(test)]
mod tests;
