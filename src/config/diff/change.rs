//! A difference, and by what an item of a list is known.

use crate::config::yaml::Yaml;

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it is, such as `routes.api.rate_limit`.
    pub path: String,
    /// The whole of it in one line.
    pub words: String,
}

/// The name by which an item of a list is known in both configurations.
pub fn identity(item: &Yaml) -> Option<String> {
    match item {
        Yaml::Text(text) | Yaml::Word(text) => Some(text.clone()),
        Yaml::Map(entries) => {
            let value = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value);
            ["name", "address", "dns", "srv", "host"].into_iter().find_map(|name| match value(name)? {
                Yaml::Text(text) | Yaml::Word(text) => Some(text.clone()),
                Yaml::List(_) | Yaml::Map(_) | Yaml::Absent => None,
            })
        }
        Yaml::List(_) | Yaml::Absent => None,
    }
}
