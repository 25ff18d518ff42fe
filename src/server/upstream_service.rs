//! The thread on which the pools of the configuration in force check endpoints and look
//! names up, that has the connections to the stores of limits, and that sends spans to a collector.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::task::JoinSet;

use super::trace_export::export_spans;
use crate::limit::StoreTasks;
use crate::runtime::{Live, Snapshot};

pub struct UpstreamService {
    pub live: Arc<Live>,
}

#[async_trait]
impl Service for UpstreamService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut ends: ShutdownWatch, _listeners_per_fd: usize) {
        tokio::spawn(export_spans(Arc::clone(&self.live)));
        let mut snapshot = self.live.pin();
        let mut stores = StoreTasks::default();
        loop {
            stores.follow(snapshot.stores());
            let mut tasks = JoinSet::new();
            for pool in &snapshot.pools {
                tasks.spawn(Arc::clone(pool).run_background(Arc::clone(&snapshot.resolver)));
            }
            tokio::select! {
                () = self.live.changed() => {}
                _ = ends.changed() => return,
            }
            // Dropping `tasks` ends the checks and lookups of the old configuration.
            let before = std::mem::replace(&mut snapshot, self.live.pin());
            retire(&before, &snapshot);
        }
    }

    fn name(&self) -> &str {
        "upstreams"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

/// Closes the idle connections of endpoints that are not in the new configuration.
fn retire(before: &Snapshot, now: &Snapshot) {
    let endpoints =
        |snapshot: &Snapshot| snapshot.pools.iter().flat_map(|pool| pool.all_endpoints()).collect::<Vec<_>>();
    let stay: HashSet<u64> = endpoints(now).iter().map(|endpoint| endpoint.pool_key()).collect();
    for endpoint in endpoints(before).into_iter().filter(|endpoint| !stay.contains(&endpoint.pool_key())) {
        tokio::spawn(endpoint.retire());
    }
}
