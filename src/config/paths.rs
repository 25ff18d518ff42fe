//! `paths`: what becomes of a path that services read in different ways, for all routes and for
//! one.

use std::fmt;

use super::section::{Form as _, Value as _, section, words};
use super::yaml::Yaml;

section! {
    /// What happens to a path that services read in different ways.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`paths`" pub struct Paths {
        /// A path whose readings (dots, slashes, `%2f`, `%5c`, parameters) lead to different routes. Every other path goes to the upstream as it was sent.
        ambiguous: AmbiguousPaths = "reject";
    }
}

section! {
    /// What happens to a path that services read in different ways, if this route is one of those that it leads to.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    "`paths`" pub struct RoutePaths {
        /// The same for this route; by default the `paths.ambiguous` of the whole file. If the routes that a path leads to differ in it, the strictest decides: `reject`, then `canonical`, then `as_sent`.
        ambiguous: Option<AmbiguousPaths>;
    }
}

words! {
    /// What happens to a path whose readings lead to different routes.
    pub enum AmbiguousPaths {
        /// It is answered with 400.
        Reject = "reject",
        /// The path as it was sent chooses the route. The rules for its other readings do not see the request.
        AsSent = "as_sent",
        /// The resolved path chooses the route and goes to the upstream: dots resolved, slashes merged, `%2f` and `%5c` decoded, parameters dropped.
        Canonical = "canonical",
    }
}

/// The word that stands for it in the file.
impl fmt::Display for AmbiguousPaths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::form().print(self) {
            Yaml::Word(word) | Yaml::Text(word) => f.write_str(&word),
            Yaml::List(_) | Yaml::Map(_) | Yaml::Absent => Ok(()),
        }
    }
}

impl AmbiguousPaths {
    /// The greater, the fewer rules of other readings are passed by.
    pub const fn strictness(self) -> u8 {
        match self {
            Self::AsSent => 0,
            Self::Canonical => 1,
            Self::Reject => 2,
        }
    }
}
