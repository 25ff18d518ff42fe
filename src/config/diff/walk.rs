//! Two values side by side, key by key.

use super::change::{Change, identity};
use super::inline::{inline, is_secret};
use super::pairs;
use crate::config::yaml::Yaml;

/// The changes so far.
#[derive(Debug, Default)]
pub struct Walk {
    pub found: Vec<Change>,
}

impl Walk {
    pub fn push(&mut self, change: Change) {
        self.found.push(change);
    }

    /// Compares what is called `name` in both; `subject` says who that is.
    pub fn named(&mut self, (section, name): (&str, &str), subject: &str, before: Option<&Yaml>, after: Option<&Yaml>) {
        let path = format!("{section}.{name}");
        match (before, after) {
            (Some(before), Some(after)) => self.compare(&path, subject, "", before, after),
            (None, Some(after)) => {
                let words = format!("{subject} was added: {}", inline(&path, after));
                self.push(Change { path, words });
            }
            (Some(_), None) => self.push(Change { path, words: format!("{subject} was removed") }),
            (None, None) => {}
        }
    }

    /// `key`: within the subject, with dots.
    pub fn compare(&mut self, path: &str, subject: &str, key: &str, before: &Yaml, after: &Yaml) {
        match (before, after) {
            (Yaml::Absent, Yaml::Absent) => {}
            (Yaml::Map(_), Yaml::Map(_)) => {
                for (name, before, after) in pairs::of_maps(before, after) {
                    let key = if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
                    let (before, after) = (before.unwrap_or(&Yaml::Absent), after.unwrap_or(&Yaml::Absent));
                    self.compare(&format!("{path}.{name}"), subject, &key, before, after);
                }
            }
            (Yaml::List(all), Yaml::List(others)) if all.iter().chain(others).all(|item| identity(item).is_some()) => {
                self.compare_lists(path, subject, key, before, after);
            }
            (Yaml::Absent, after) => self.say(path, subject, key, &format!("was added: {}", shown(path, after))),
            (before, Yaml::Absent) => {
                self.say(path, subject, key, &format!("was removed; it was {}", shown(path, before)))
            }
            (before, after) if before == after => {}
            (before, after) => {
                let (was, is) = (shown(path, before), shown(path, after));
                let words = if was == is { "was changed".to_owned() } else { format!("{was} → {is}") };
                self.say(path, subject, key, &words);
            }
        }
    }

    /// Items by what they are called, and their order.
    fn compare_lists(&mut self, path: &str, subject: &str, key: &str, before: &Yaml, after: &Yaml) {
        let noun = if key == "servers" { "server" } else { "" };
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for (name, before, after) in pairs::of_lists(before, after) {
            match (before, after) {
                (Some(before), Some(after)) => {
                    self.compare(&format!("{path}.{name}"), subject, &format!("{key}.{name}"), before, after);
                }
                (None, Some(after)) => added.push(inline(path, after)),
                (Some(_), None) => removed.push(name),
                (None, None) => {}
            }
        }
        let is_moved = added.is_empty() && removed.is_empty() && names(before) != names(after);
        for (list, done) in [(removed, "was removed"), (added, "was added")] {
            for item in list {
                if noun.is_empty() {
                    self.say(path, subject, key, &format!("{item} {done}"));
                } else {
                    self.push(Change {
                        path: format!("{path}.{item}"),
                        words: format!("{subject}: {noun} {item} {done}"),
                    });
                }
            }
        }
        if is_moved {
            self.say(path, subject, key, &format!("the order is {} now", inline(path, &Yaml::List(names(after)))));
        }
    }

    fn say(&mut self, path: &str, subject: &str, key: &str, words: &str) {
        let place = match (subject, key) {
            ("", key) => format!("`{key}`"),
            (subject, "") => subject.to_owned(),
            (subject, key) => format!("{subject}: `{key}`"),
        };
        let colon = if words.starts_with("was ") { " " } else { ": " };
        self.push(Change { path: path.to_owned(), words: format!("{place}{colon}{words}") });
    }
}

fn names(list: &Yaml) -> Vec<Yaml> {
    match list {
        Yaml::List(items) => items.iter().filter_map(identity).map(Yaml::Text).collect(),
        Yaml::Word(_) | Yaml::Text(_) | Yaml::Map(_) | Yaml::Absent => Vec::new(),
    }
}

fn shown(path: &str, value: &Yaml) -> String {
    if is_secret(path) { "(hidden)".to_owned() } else { inline(path, value) }
}
