//! The running form of a configuration: names have become indices, addresses
//! peers, routes a table. Must not know the process, its listeners or hooks.

mod live;
mod snapshot;

pub use live::Live;
pub use snapshot::{Action, Mirror, Route, Snapshot, Split};
