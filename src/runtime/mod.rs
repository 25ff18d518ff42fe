//! The running form of a configuration: names have become indices, addresses peers, routes
//! a table.

mod asked_service;
mod live;
mod provider;
mod snapshot;
mod traces;

pub use asked_service::AskedService;
pub use live::Live;
pub use provider::{Place as ProviderPlace, Provider};
pub use snapshot::{Action, ForwardAuth, Mirror, Route, Snapshot, Split};
pub use traces::Traces;
