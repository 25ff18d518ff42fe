//! Which endpoint gets a request. A [`Balancer`] is made for the endpoints of an active set
//! and made anew with it, so that choosing looks nothing up.

mod least;
mod ring;
mod round_robin;
mod weighted_endpoint;

use super::weighted_choice::WeightedChoice;
use crate::config::Balance;
use least::LeastConn;
use ring::Ring;
use round_robin::RoundRobin;
pub use weighted_endpoint::WeightedEndpoint;

#[derive(Debug)]
pub enum Balancer {
    RoundRobin(RoundRobin),
    LeastConn(LeastConn),
    P2c(LeastConn),
    Random(WeightedChoice),
    Ring(Ring, RoundRobin),
}

/// How often turns and random choice may hit an endpoint that is not eligible, before the
/// caller goes through all endpoints in order.
const ATTEMPTS: usize = 4;

impl Balancer {
    /// `position` is where the round robin of the previous balancer had come to.
    pub fn new(balance: &Balance, endpoints: &[WeightedEndpoint<'_>], position: usize) -> Self {
        let weights: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.weight).collect();
        match balance {
            Balance::RoundRobin => Self::RoundRobin(RoundRobin::new(&weights, position)),
            Balance::LeastConn => Self::LeastConn(LeastConn::new(endpoints)),
            Balance::P2c => Self::P2c(LeastConn::new(endpoints)),
            Balance::Random => Self::Random(WeightedChoice::new(weights)),
            Balance::Hash(_) => Self::Ring(Ring::new(endpoints), RoundRobin::new(&weights, position)),
        }
    }

    pub fn position(&self) -> usize {
        match self {
            Self::RoundRobin(turns) | Self::Ring(_, turns) => turns.position(),
            Self::LeastConn(_) | Self::P2c(_) | Self::Random(_) => 0,
        }
    }

    /// The best of the endpoints that are eligible. `hash` is that of the balancing key, where
    /// the request has one. `None` when the attempts found no eligible endpoint.
    pub fn choose(&self, hash: Option<u64>, is_eligible: impl Fn(usize) -> bool) -> Option<usize> {
        match (self, hash) {
            (Self::Ring(ring, _), Some(hash)) => ring.choose(hash, is_eligible),
            (Self::RoundRobin(turns) | Self::Ring(_, turns), _) => {
                (0..ATTEMPTS).map(|_| turns.next_index()).find(|i| is_eligible(*i))
            }
            (Self::LeastConn(least), _) => least.least(is_eligible),
            (Self::P2c(least), _) => (0..ATTEMPTS).find_map(|_| least.less_of_two(&is_eligible)),
            (Self::Random(weighted), _) => (0..ATTEMPTS).map(|_| weighted.random()).find(|i| is_eligible(*i)),
        }
    }
}

#[cfg(test)]
mod tests;
