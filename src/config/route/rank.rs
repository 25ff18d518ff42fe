//! Precedence as data: the greater [`Rank`] wins. Field order is the contract, for the
//! table that finds routes and for the check that warns of those nothing reaches.

use std::cmp::Reverse;
use std::fmt;

use super::matching::{Match, PathPattern};
use crate::config::value::HostPattern;

/// How strongly a route claims a request that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    pub priority: i32,
    pub host: HostRank,
    pub path: PathRank,
    /// Method, header, query, cookie, client address and client certificate conditions.
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

/// A regex, a prefix (the longer the stronger), an exact path. No path ranks
/// below everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathRank {
    Any,
    Regex,
    Prefix(usize),
    Exact,
}

/// In the order in which it counts.
impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {}, ", self.priority)?;
        match self.host {
            HostRank::Any => f.write_str("any host, "),
            HostRank::Suffix(length) => write!(f, "a wildcard host of {length} characters, "),
            HostRank::Exact => f.write_str("this very host, "),
        }?;
        match self.path {
            PathRank::Any => f.write_str("any path, "),
            PathRank::Regex => f.write_str("a path by regex, "),
            PathRank::Prefix(length) => write!(f, "a prefix of {length} characters, "),
            PathRank::Exact => f.write_str("this very path, "),
        }?;
        let plural = if self.conditions == 1 { "" } else { "s" };
        write!(f, "{} other condition{plural}, number {} in the file", self.conditions, self.order.0 + 1)
    }
}

impl Rank {
    /// Of a route for the requests that match it by this one of its hosts and this one of
    /// its paths.
    pub fn of(matcher: &Match, priority: i32, host: &HostPattern, path: Option<&PathPattern>, index: usize) -> Self {
        let host = match host {
            HostPattern::Any => HostRank::Any,
            HostPattern::Suffix(suffix) => HostRank::Suffix(suffix.len()),
            HostPattern::Exact(_) => HostRank::Exact,
        };
        let path = match path {
            None => PathRank::Any,
            Some(PathPattern::Regex(_)) => PathRank::Regex,
            Some(PathPattern::Prefix(prefix)) => PathRank::Prefix(without_slash(prefix).len()),
            Some(PathPattern::Exact(_)) => PathRank::Exact,
        };
        let conditions = usize::from(!matcher.methods.is_empty())
            + matcher.headers.len()
            + matcher.query.len()
            + matcher.cookies.len()
            + usize::from(!matcher.client_ips.is_empty())
            + usize::from(matcher.client_cert.is_some());
        Self { priority, host, path, conditions, order: Reverse(index) }
    }
}

/// The hosts of a route; one that names none takes any.
pub fn hosts(matcher: &Match) -> &[HostPattern] {
    if matcher.hosts.is_empty() { &[HostPattern::Any] } else { &matcher.hosts }
}

/// The paths of a route; one that names none takes any.
pub fn paths(matcher: &Match) -> impl Iterator<Item = Option<&PathPattern>> {
    let any = matcher.paths.is_empty().then_some(None);
    matcher.paths.iter().map(Some).chain(any)
}

/// A prefix without its final slash; the root is the empty text.
pub fn without_slash(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
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
