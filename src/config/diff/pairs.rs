//! What belongs together in two configurations.

use super::change::identity;
use crate::config::root::Config;
use crate::config::route::Route;
use crate::config::section::Section;
use crate::config::yaml::Yaml;

type Pair<'y, N> = (N, Option<&'y Yaml>, Option<&'y Yaml>);

/// The values of two maps by key: those of the first in its order, then what only the second has.
pub fn of_maps<'y>(before: &'y Yaml, after: &'y Yaml) -> Vec<Pair<'y, &'y str>> {
    let entries = |map: &'y Yaml| match map {
        Yaml::Map(entries) => entries.as_slice(),
        Yaml::Word(_) | Yaml::Text(_) | Yaml::List(_) | Yaml::Absent => &[],
    };
    let (before, after) = (entries(before), entries(after));
    let find = |all: &'y [(String, Yaml)], name: &str| all.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let first = before.iter().map(|(key, value)| (key.as_str(), Some(value), find(after, key)));
    let second = after.iter().filter(|(key, _)| find(before, key).is_none());
    first.chain(second.map(|(key, value)| (key.as_str(), None, Some(value)))).collect()
}

/// The items of two lists by what they are called.
pub fn of_lists<'y>(before: &'y Yaml, after: &'y Yaml) -> Vec<Pair<'y, String>> {
    let items = |list: &'y Yaml| match list {
        Yaml::List(items) => items.as_slice(),
        Yaml::Word(_) | Yaml::Text(_) | Yaml::Map(_) | Yaml::Absent => &[],
    };
    let named = |list: &'y Yaml| items(list).iter().filter_map(|item| Some((identity(item)?, item)));
    let find = |list: &'y Yaml, name: &str| named(list).find(|(other, _)| other == name).map(|(_, item)| item);
    let first = named(before).map(|(name, item)| {
        let other = find(after, &name);
        (name, Some(item), other)
    });
    let second = named(after).filter(|(name, _)| find(before, name).is_none());
    first.chain(second.map(|(name, item)| (name, None, Some(item)))).collect()
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
    let (mut before, after) = (printed(old), printed(new));
    let mut found: Vec<Option<Yaml>> = after
        .iter()
        .map(|(route, yaml)| {
            let is_it = |(other, was): &(Route, Yaml)| {
                if is_named(route) { other.name == route.name } else { !is_named(other) && was == yaml }
            };
            before.iter().position(is_it).map(|index| before.remove(index).1)
        })
        .collect();
    for ((route, _), found) in after.iter().zip(&mut found) {
        if found.is_none() && !is_named(route) {
            let next = before.iter().position(|(other, _)| !is_named(other));
            *found = next.map(|index| before.remove(index).1);
        }
    }
    let of_new = after.into_iter().zip(found);
    let of_new =
        of_new.map(|((route, yaml), was)| (route.name, Some(route.line).filter(|line| *line > 0), was, Some(yaml)));
    of_new.chain(before.into_iter().map(|(route, yaml)| (route.name, None, Some(yaml), None))).collect()
}

/// One without a name is called by its place, as in `routes[3]`.
fn is_named(route: &Route) -> bool {
    !route.name.ends_with(']')
}
