//! Recorded requests and two configurations: what would become of each request under either, found by the
//! functions that serve requests, and what differs. Nothing is sent.
//!
//! A log does not hold everything that a route may match on. Conditions on what it does not hold are
//! supposed to be met, and not to be; where that makes a difference, it is said that it cannot be told.
//! What changes from moment to moment is left out: the health of servers, rate limits, chance.

mod difference;
mod facts;
mod places;
mod prepared;
mod record;
mod tally;
mod verdict;

pub use difference::Difference;
pub use record::{NotUnderstood, Record};
pub use tally::{Class, Example, Group, Tally, Unknown};
pub use verdict::{Replay, Verdict};
