//! Routes that have changed places, where that decides which of them takes a request: between routes
//! of equal rank the earlier one wins.

use std::collections::BTreeSet;

use super::change::Change;
use crate::config::root::Config;
use crate::config::route::rank::{self, Rank};
use crate::config::route::{PathPattern, Route};

pub fn of_routes(old: &Config, new: &Config) -> Vec<Change> {
    let place = |config: &Config, name: &str| config.routes.iter().position(|route| route.name == name);
    let mut found = Vec::new();
    for (index, first) in new.routes.iter().enumerate() {
        for second in new.routes.iter().skip(index + 1) {
            let (Some(was_first), Some(was_second)) = (place(old, &first.name), place(old, &second.name)) else {
                continue;
            };
            if was_second < was_first && !claims(first).is_disjoint(&claims(second)) {
                let words = format!(
                    "route `{}` comes before route `{}` now, which takes requests that match both",
                    first.name, second.name
                );
                found.push(Change { path: format!("routes.{}", first.name), words });
            }
        }
    }
    found
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
