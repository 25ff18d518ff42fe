//! What differs between two configurations, in words: section by section, where routes, upstreams,
//! servers and listeners are told apart by what they are called.

mod change;
mod inline;
mod order;
mod pairs;
mod walk;

use super::root::Config;
use super::section::Section;
pub use change::Change;
use walk::Walk;

/// What differs, in the order of the sections.
pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let mut walk = Walk::default();
    for ((key, before), (_, after)) in old.print().iter().zip(&new.print()) {
        match *key {
            "routes" => {
                for (name, line, before, after) in pairs::of_routes(old, new) {
                    let line = line.map_or(String::new(), |line| format!(" (line {line})"));
                    walk.named(("routes", &name), &format!("route `{name}`{line}"), before.as_ref(), after.as_ref());
                }
                order::of_routes(old, new).into_iter().for_each(|change| walk.push(change));
            }
            "upstreams" => {
                for (name, before, after) in pairs::of_maps(before, after) {
                    walk.named(("upstreams", name), &format!("upstream `{name}`"), before, after);
                }
            }
            "listeners" => {
                for (address, before, after) in pairs::of_lists(before, after) {
                    walk.named(("listeners", &address), &format!("listener {address}"), before, after);
                }
            }
            key => walk.compare(key, "", key, before, after),
        }
    }
    walk.found
}

#[cfg(test)]
mod tests;
