//! What belongs together in two configurations.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use super::change::identity;
use crate::config::root::Config;
use crate::config::route::Route;
use crate::config::section::Section;
use crate::config::yaml::Yaml;

type Pair<'y, N> = (N, Option<&'y Yaml>, Option<&'y Yaml>);

/// The values of two maps by key: those of the first in its order, then what only the second has.
pub fn of_maps<'y>(before: &'y Yaml, after: &'y Yaml) -> Vec<Pair<'y, &'y str>> {
    let entries = |map: &'y Yaml| match map {
        Yaml::Map(entries) => entries.iter().map(|(key, value)| (key.as_str(), value)).collect(),
        Yaml::Word(_) | Yaml::Text(_) | Yaml::List(_) | Yaml::Absent => Vec::new(),
    };
    side_by_side(entries(before), entries(after))
}

/// The items of two lists by what they are called.
pub fn of_lists<'y>(before: &'y Yaml, after: &'y Yaml) -> Vec<Pair<'y, String>> {
    let named = |list: &'y Yaml| match list {
        Yaml::List(items) => items.iter().filter_map(|item| Some((identity(item)?, item))).collect(),
        Yaml::Word(_) | Yaml::Text(_) | Yaml::Map(_) | Yaml::Absent => Vec::new(),
    };
    side_by_side(named(before), named(after))
}

/// Of several with one name, the first is meant.
fn side_by_side<'y, N: Clone + Eq + Hash>(before: Vec<(N, &'y Yaml)>, after: Vec<(N, &'y Yaml)>) -> Vec<Pair<'y, N>> {
    let by_name = |all: &[(N, &'y Yaml)]| all.iter().rev().cloned().collect::<HashMap<_, _>>();
    let (old, new) = (by_name(&before), by_name(&after));
    let first = before.into_iter().map(|(name, value)| {
        let other = new.get(&name).copied();
        (name, Some(value), other)
    });
    let second = after.into_iter().filter(|(name, _)| !old.contains_key(name));
    first.chain(second.map(|(name, value)| (name, None, Some(value)))).collect()
}

/// A route's name, its line in the new configuration, and what it is in either.
type RoutePair = (String, Option<usize>, Option<Yaml>, Option<Yaml>);

/// Routes by name. One without a name is the one that does the same, or else the next one without.
pub fn of_routes(old: &Config, new: &Config) -> Vec<RoutePair> {
    let printed = |config: &Config| -> Vec<(Route, Yaml)> {
        let yaml =
            |route: &Route| Yaml::Map(route.print().into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
        config.routes.iter().map(|route| (route.clone(), yaml(route))).collect()
    };
    let (mut before, after): (Vec<_>, _) = (printed(old).into_iter().map(Some).collect(), printed(new));
    // By name, or without one by what it does; each of several that do the same is taken once.
    let known_by = |(route, yaml): &(Route, Yaml)| match is_named(route) {
        true => (true, route.name.clone()),
        false => (false, yaml.document()),
    };
    let mut places: HashMap<(bool, String), VecDeque<usize>> = HashMap::new();
    for (place, route) in before.iter().flatten().enumerate() {
        places.entry(known_by(route)).or_default().push_back(place);
    }
    let mut take = |place: usize| before.get_mut(place).and_then(Option::take).map(|(_, yaml)| yaml);
    let mut found: Vec<Option<Yaml>> = after
        .iter()
        .map(|route| places.get_mut(&known_by(route)).and_then(VecDeque::pop_front).and_then(&mut take))
        .collect();
    let mut unnamed: VecDeque<usize> = (0..before.len())
        .filter(|place| before.get(*place).and_then(Option::as_ref).is_some_and(|(route, _)| !is_named(route)))
        .collect();
    for ((route, _), found) in after.iter().zip(&mut found) {
        if found.is_none() && !is_named(route) {
            let next = unnamed.pop_front().and_then(|place| before.get_mut(place)?.take());
            *found = next.map(|(_, yaml)| yaml);
        }
    }
    let of_new = after.into_iter().zip(found);
    let of_new =
        of_new.map(|((route, yaml), was)| (route.name, Some(route.line).filter(|line| *line > 0), was, Some(yaml)));
    of_new.chain(before.into_iter().flatten().map(|(route, yaml)| (route.name, None, Some(yaml), None))).collect()
}

/// One without a name is called by its place, as in `routes[3]`.
fn is_named(route: &Route) -> bool {
    !route.name.ends_with(']')
}
