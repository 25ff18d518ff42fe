//! Finds routes that no request can reach: whatever matches one of them matches a
//! route of higher rank too. Says so only where that is certain; several routes which
//! together cover one are not looked for.

use std::cmp::Reverse;
use std::collections::HashMap;

use http::Method;

use super::client_cert::ClientCertPattern;
use super::matching::{Match, PathPattern, ValuePattern};
use super::rank::{self, Rank};
use crate::config::section::Reader;
use crate::config::value::HostPattern;
use crate::config::yaml::Span;

/// The search stops after this many comparisons: more would cost more than they tell. Only
/// routes of one host and path are compared, so that a file needs thousands of those to get
/// there.
const MAX_COMPARISONS: usize = 2_000_000;

/// What a route says of the requests that it takes, whatever else is wrong with it.
#[derive(Debug)]
pub struct Claim {
    pub name: String,
    pub line: usize,
    pub matcher: Match,
    pub priority: i32,
    /// Where a warning points at.
    pub location: Span,
    /// Whether nothing of it was misunderstood, which is no reason to call another route
    /// unreachable.
    pub is_certain: bool,
}

pub fn warn_unreachable(reader: &mut Reader<'_>, claims: &[Claim]) {
    let index = Index::of(claims);
    let mut left = MAX_COMPARISONS;
    for (at, claim) in claims.iter().enumerate().filter(|(_, claim)| claim.is_certain) {
        let Some(mut winners) = index.winners(claims, at, &mut left) else { continue };
        winners.sort_unstable();
        winners.dedup();
        let named = |winner: &usize| claims.get(*winner).map(|c| format!("`{}` on line {}", c.name, c.line));
        let names: Vec<String> = winners.iter().filter_map(named).collect();
        let verb = if names.len() == 1 { "always wins" } else { "always win" };
        let why = format!("{} {verb}", names.join(" and "));
        reader.warn(claim.location, format!("no request reaches the route `{}`", claim.name), Some(why));
    }
}

/// The routes by one of their hosts and their path, of falling rank.
struct Index<'r>(HashMap<(Host<'r>, Path<'r>), Vec<(Rank, usize)>>);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Host<'r> {
    Exact(&'r str),
    Suffix(&'r str),
    Any,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Path<'r> {
    Exact(&'r str),
    /// Without its final slash.
    Prefix(&'r str),
    Regex(&'r str),
    Any,
}

impl<'r> Index<'r> {
    fn of(claims: &'r [Claim]) -> Self {
        let mut lists: HashMap<_, Vec<(Rank, usize)>> = HashMap::new();
        for (at, claim) in claims.iter().enumerate().filter(|(_, claim)| claim.is_certain) {
            for (of_host, of_path) in pairs(&claim.matcher) {
                let path = match of_path {
                    None => Path::Any,
                    Some(PathPattern::Regex(regex)) => Path::Regex(regex.as_str()),
                    Some(PathPattern::Exact(exact)) => Path::Exact(exact),
                    Some(PathPattern::Prefix(prefix)) => Path::Prefix(rank::without_slash(prefix)),
                };
                let rank = Rank::of(&claim.matcher, claim.priority, of_host, of_path, at);
                lists.entry((host(of_host), path)).or_default().push((rank, at));
            }
        }
        lists.values_mut().for_each(|list| list.sort_unstable_by_key(|(rank, _)| Reverse(*rank)));
        Self(lists)
    }

    /// The routes that win every request of this one; `None` when one may reach it.
    /// Each of its hosts with each of its paths has a rank of its own, so each needs a winner.
    fn winners(&self, claims: &[Claim], at: usize, left: &mut usize) -> Option<Vec<usize>> {
        pairs(&claims.get(at)?.matcher).map(|(host, path)| self.winner(claims, at, host, path, left)).collect()
    }

    fn winner(
        &self,
        claims: &[Claim],
        at: usize,
        of_host: &HostPattern,
        of_path: Option<&PathPattern>,
        left: &mut usize,
    ) -> Option<usize> {
        let claim = claims.get(at)?;
        let own = Rank::of(&claim.matcher, claim.priority, of_host, of_path, at);
        let paths = paths_around(&claim.matcher, of_path);
        for host in hosts_around(of_host) {
            for path in &paths {
                let Some(list) = self.0.get(&(host, *path)) else { continue };
                // One of its own paths may be a stronger claim to the same requests.
                let stronger = list.iter().take_while(|(rank, _)| *rank > own).filter(|(_, other)| *other != at);
                for (_, other) in stronger {
                    *left = left.checked_sub(1)?;
                    if claims.get(*other).is_some_and(|other| implies(&claim.matcher, &other.matcher)) {
                        return Some(*other);
                    }
                }
            }
        }
        None
    }
}

/// Each host of a route with each of its paths.
fn pairs(matcher: &Match) -> impl Iterator<Item = (&HostPattern, Option<&PathPattern>)> {
    rank::hosts(matcher).iter().flat_map(|host| rank::paths(matcher).map(move |path| (host, path)))
}

fn host(pattern: &HostPattern) -> Host<'_> {
    match pattern {
        HostPattern::Exact(name) => Host::Exact(name),
        HostPattern::Suffix(suffix) => Host::Suffix(suffix),
        HostPattern::Any => Host::Any,
    }
}

/// The hosts that hold wherever this one does, itself included.
fn hosts_around(pattern: &HostPattern) -> Vec<Host<'_>> {
    let name = match pattern {
        HostPattern::Exact(name) | HostPattern::Suffix(name) => name,
        HostPattern::Any => return vec![Host::Any],
    };
    let suffixes = name.match_indices('.').filter_map(|(at, _)| name.get(at + 1..)).map(Host::Suffix);
    std::iter::once(host(pattern)).chain(suffixes).chain([Host::Any]).collect()
}

/// The paths that hold wherever this one does, itself included.
fn paths_around<'m>(matcher: &'m Match, pattern: Option<&'m PathPattern>) -> Vec<Path<'m>> {
    let mut around = Vec::new();
    match pattern {
        None => {}
        Some(PathPattern::Regex(regex)) => around.push(Path::Regex(regex.as_str())),
        Some(PathPattern::Exact(exact)) => {
            around.push(Path::Exact(exact));
            around.extend(prefixes(exact));
        }
        Some(PathPattern::Prefix(prefix)) => around.extend(prefixes(rank::without_slash(prefix))),
    }
    if !around.contains(&Path::Prefix("")) && !takes_asterisk(matcher, pattern) {
        around.push(Path::Prefix(""));
    }
    around.push(Path::Any);
    around
}

fn prefixes(path: &str) -> impl Iterator<Item = Path<'_>> {
    let parents = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
    std::iter::once(path).chain(parents).map(Path::Prefix)
}

/// Whether `OPTIONS *` (RFC 9110 section 9.3.7) may match: the one target that is not
/// under `/`.
fn takes_asterisk(matcher: &Match, pattern: Option<&PathPattern>) -> bool {
    let options = matcher.methods.is_empty() || matcher.methods.contains(&Method::OPTIONS);
    let path = match pattern {
        None => true,
        Some(PathPattern::Regex(regex)) => regex.is_match("*"),
        Some(PathPattern::Exact(_) | PathPattern::Prefix(_)) => false,
    };
    options && path
}

/// Whether a request that fulfils the conditions of `strong`, apart from host and path,
/// fulfils those of `weak`.
fn implies(strong: &Match, weak: &Match) -> bool {
    let method = weak.methods.is_empty()
        || !strong.methods.is_empty() && strong.methods.iter().all(|method| weak.methods.contains(method));
    let client = weak.client_ips.is_empty()
        || !strong.client_ips.is_empty()
            && strong.client_ips.iter().all(|net| weak.client_ips.iter().any(|wider| wider.contains(net)));
    method
        && client
        && cert_implies(strong.client_cert.as_ref(), weak.client_cert.as_ref())
        && all_implied(&strong.headers, &weak.headers)
        && all_implied(&strong.query, &weak.query)
        && all_implied(&strong.cookies, &weak.cookies)
}

fn cert_implies(strong: Option<&ClientCertPattern>, weak: Option<&ClientCertPattern>) -> bool {
    match (strong, weak) {
        (_, None) => true,
        (Some(ClientCertPattern::Such(_)), Some(ClientCertPattern::Present)) => true,
        (strong, weak) => strong == weak,
    }
}

fn all_implied<N: PartialEq>(strong: &[(N, ValuePattern)], weak: &[(N, ValuePattern)]) -> bool {
    weak.iter().all(|(name, weaker)| strong.iter().any(|(n, pattern)| n == name && value_implies(pattern, weaker)))
}

fn value_implies(strong: &ValuePattern, weak: &ValuePattern) -> bool {
    use ValuePattern::{Absent, Is, Present, Regex};
    match (strong, weak) {
        (Is(value), Is(other)) => value == other,
        (Is(value), Regex(regex)) => regex.is_match(value),
        (Regex(regex), Regex(other)) => regex.as_str() == other.as_str(),
        (Is(_) | Regex(_) | Present, Present) | (Absent, Absent) => true,
        (Regex(_) | Present | Absent, Is(_)) | (Present | Absent, Regex(_)) => false,
        (Is(_) | Regex(_) | Present, Absent) | (Absent, Present) => false,
    }
}
