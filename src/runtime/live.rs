//! The one place where a new snapshot takes the old one's place: atomically,
//! and only for requests that begin afterwards.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::Snapshot;

#[derive(Debug)]
pub struct Live(ArcSwap<Snapshot>);

impl Live {
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// Pins the present snapshot: a request sees one configuration, whole.
    pub fn pin(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// A look at the present snapshot, cheaper than to pin it.
    pub fn look(&self) -> impl std::ops::Deref<Target = Arc<Snapshot>> {
        self.0.load()
    }

    pub fn publish(&self, snapshot: Snapshot) {
        self.0.store(Arc::new(snapshot));
    }
}
