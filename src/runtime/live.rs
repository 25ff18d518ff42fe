//! The one place where a new snapshot takes the old one's place: atomically,
//! and only for requests that begin afterwards.

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

    /// Pins the present snapshot: a request sees one configuration, whole.
    pub fn pin(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// A look at the present snapshot, cheaper than to pin it.
    pub fn load(&self) -> impl std::ops::Deref<Target = Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        self.published.notify_one();
    }

    /// Until there is another one; for one who waits.
    pub async fn changed(&self) {
        self.published.notified().await;
    }
}
