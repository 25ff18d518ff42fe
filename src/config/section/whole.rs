//! What a section is told of the configuration as a whole, for its hints.

use super::shape::Key;

/// What is known of the configuration as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    pub keys: fn() -> &'static [Key],
    /// In groups.
    pub foreign: &'static [&'static [Foreign]],
    /// Our word for one of others.
    pub synonym: fn(text: &str) -> Option<String>,
    /// The map that a single value in the place of a section stands for.
    pub short: fn(title: &str, text: &str) -> Option<String>,
}

/// Words of other proxies, and what stands for them here.
#[derive(Debug)]
pub struct Foreign {
    /// In lower case, with `_` for `-`.
    pub words: &'static [&'static str],
    /// The titles of the sections where they mean this; none is everywhere.
    pub within: &'static [&'static str],
    pub ours: Ours,
}

#[derive(Debug)]
pub enum Ours {
    /// Alternatives, each a piece of YAML; a `%` in it is the value that was written, or
    /// this example where that is no single value of the kind.
    Write { place: Place, yaml: &'static [&'static str], example: &'static str, value: fn(&str) -> Option<String> },
    /// The path of a key that is not supported yet.
    Later(&'static str),
    /// There is no such key, for this reason.
    Nothing(&'static str),
}

/// Where a piece of YAML belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the foreign word stands.
    Here,
    Top,
    Route,
    Upstream,
}
