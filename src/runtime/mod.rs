//! The running form of a configuration: names have become indices, addresses peers, routes
//! a table.

mod live;
mod snapshot;
mod traces;

pub use live::Live;
pub use snapshot::{Action, AskedService, ForwardAuth, Mirror, Route, Snapshot, Split};
pub use traces::Traces;
