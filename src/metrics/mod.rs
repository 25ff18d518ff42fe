//! Figures of the process: cells that are counted in without a lock, what a scrape reads of them, and
//! the text in which it is told. Whose figures they are is known elsewhere: each stands beside what it counts.

mod catalog;
mod exemplar;
mod exposition;
mod histogram;
mod listener;
mod route;
mod series;
mod shards;
mod upstream;

pub use catalog::*;
pub use exemplar::Exemplar;
pub use exposition::{Exposition, Format};
pub use histogram::{BOUNDS, Histogram};
pub use listener::{HandshakeOutcome, ListenerMetrics, OpenConnection};
pub use route::{FinishedRequest, RouteFigures, RouteMetrics};
pub use series::{Series, method_index};
pub use shards::Counter;
pub use upstream::{ConnectionMark, UpstreamFigures, UpstreamMetrics};
