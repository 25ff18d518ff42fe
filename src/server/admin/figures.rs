//! Where the figures of the process are: each stands beside what it counts.

use std::sync::Arc;

use crate::downstream::Connections;
use crate::listener::Entrance;
use crate::metrics::RouteMetrics;
use crate::runtime::{Live, Snapshot};
use crate::server::lifecycle::status::Status;

/// The route of requests that no route took.
pub const NO_ROUTE: &str = "_none";

#[derive(Clone, Debug)]
pub struct Figures {
    pub live: Arc<Live>,
    pub connections: Arc<Connections>,
    pub status: Arc<Status>,
}

/// Each route by its name, and at last the requests that none took.
pub fn routes(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &RouteMetrics)> {
    let routes = snapshot.routes.iter().map(|route| (route.name.as_str(), &*route.metrics));
    routes.chain([(NO_ROUTE, &*snapshot.unrouted)])
}

/// Each listener by its address.
pub fn listeners(snapshot: &Snapshot) -> Vec<(String, &Entrance)> {
    snapshot.entrances.iter().map(|entrance| (entrance.address().to_string(), &**entrance)).collect()
}
