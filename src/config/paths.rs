//! `paths`: what becomes of a path that services read in different ways.

use super::section::{section, words};

section! {
    /// What becomes of a path that services read in different ways.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`paths`" pub struct Paths {
        /// A path whose readings (dots, slashes, `%2f`, `%5c`, parameters) lead to different routes. Any other goes up as it was sent.
        ambiguous: AmbiguousPaths = "reject";
    }
}

words! {
    /// What becomes of a path whose readings lead to different routes.
    pub enum AmbiguousPaths {
        /// It is answered 400.
        Reject = "reject",
        /// It goes the way of the path as it was sent: a rule for another reading does not see it.
        AsSent = "as_sent",
        /// It goes the way of its resolved reading, and up as that: dots resolved, slashes merged, `%2f` and `%5c` decoded, parameters dropped.
        Canonical = "canonical",
    }
}
