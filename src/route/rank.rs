//! Precedence as data: the greater [`Rank`] wins. Field order is the contract.

use std::cmp::Reverse;

/// How strongly a route claims a request that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    pub priority: i32,
    pub host: HostRank,
    pub path: PathRank,
    /// Method, header, query, cookie and client address conditions.
    pub conditions: usize,
    /// The earlier in the file, the greater.
    pub order: Reverse<usize>,
}

/// No host, a wildcard (the longer the stronger), an exact host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostRank {
    Any,
    Suffix(usize),
    Exact,
}

/// A regex, a prefix (the longer the stronger), an exact path. No path at all is
/// the empty prefix's weaker sibling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank {
    Any,
    Regex,
    Prefix(usize),
    Exact,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_in_order() {
        let base = Rank { priority: 0, host: HostRank::Any, path: PathRank::Any, conditions: 0, order: Reverse(5) };
        let rising = [
            base,
            Rank { order: Reverse(1), ..base },
            Rank { conditions: 1, ..base },
            Rank { path: PathRank::Regex, ..base },
            Rank { path: PathRank::Prefix(1), ..base },
            Rank { path: PathRank::Prefix(9), ..base },
            Rank { path: PathRank::Exact, ..base },
            Rank { host: HostRank::Suffix(3), ..base },
            Rank { host: HostRank::Suffix(9), ..base },
            Rank { host: HostRank::Exact, ..base },
            Rank { priority: 1, ..base },
        ];
        assert!(rising.windows(2).all(|w| w[0] < w[1]));
    }
}
