//! The snapshot in force. [`Live`] swaps it for a new one atomically; requests that have
//! begun keep the old one.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::snapshot::Snapshot;

#[derive(Debug)]
pub struct Live {
    snapshot: ArcSwap<Snapshot>,
    published: Notify,
}

impl Live {
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot: ArcSwap::from_pointee(snapshot), published: Notify::new() }
    }

    /// Pins the snapshot in force, so that a request sees one configuration, whole.
    pub fn pin(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The snapshot in force for a short look, which is cheaper than to pin it.
    pub fn load(&self) -> impl std::ops::Deref<Target = Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.published.notify_one();
    }

    /// Waits for the next snapshot. Only one task may wait.
    pub async fn changed(&self) {
        self.published.notified().await;
    }
}
