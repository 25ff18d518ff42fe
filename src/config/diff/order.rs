//! Routes that have changed places, where that decides which of them takes a request: between routes
//! of equal rank the earlier one wins.

use std::collections::{BTreeSet, HashMap};

use super::change::Change;
use crate::config::root::Config;
use crate::config::route::rank::{self, Rank};
use crate::config::route::{PathPattern, Route};

/// Of routes with a claim in common, neighbours are compared: where any have changed places, two neighbours
/// have.
pub fn of_routes(old: &Config, new: &Config) -> Vec<Change> {
    let places: HashMap<&str, usize> =
        old.routes.iter().enumerate().map(|(place, route)| (route.name.as_str(), place)).collect();
    let mut before: HashMap<String, (usize, usize)> = HashMap::new();
    let mut swapped = BTreeSet::new();
    for (index, route) in new.routes.iter().enumerate() {
        let Some(was) = places.get(route.name.as_str()).copied() else { continue };
        for claim in claims(route) {
            if let Some((first, was_first)) = before.insert(claim, (index, was))
                && was < was_first
            {
                swapped.insert((first, index));
            }
        }
    }
    let names = swapped.into_iter().filter_map(|(first, second)| {
        Some((new.routes.get(first)?.name.as_str(), new.routes.get(second)?.name.as_str()))
    });
    let change = |(first, second)| Change {
        path: format!("routes.{first}"),
        words: format!("route `{first}` comes before route `{second}` now, which takes requests that match both"),
    };
    names.map(change).collect()
}

/// What it claims, by everything but its place. Two routes can have a claim in common only where one
/// request may match both.
fn claims(route: &Route) -> BTreeSet<String> {
    let matcher = &route.matcher;
    let hosts = rank::hosts(matcher).iter();
    let each = hosts.flat_map(|host| rank::paths(matcher).map(move |path| (host, path)));
    each.map(|(host, path)| {
        let rank = Rank::of(matcher, route.priority, host, path, 0);
        let text = match path {
            None => String::new(),
            // Two of them may find something in the same path.
            Some(PathPattern::Regex(_)) => "regex".to_owned(),
            Some(PathPattern::Prefix(prefix)) => rank::without_slash(prefix).to_owned(),
            Some(PathPattern::Exact(exact)) => exact.clone(),
        };
        format!("{rank:?} {host} {text}")
    })
    .collect()
}
