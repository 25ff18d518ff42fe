//! The thread that keeps up to date by what requests are let in: the files of users, keys and
//! secrets, the keys that are fetched, and what is known of providers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::task::JoinSet;

use super::{oidc_provider, token_keys};
use crate::runtime::{Live, Snapshot};
use crate::upstream::Connector;

/// The time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);
/// It is longer where a look takes long.
const REST: u32 = 50;
/// Connections to issuers that wait for the next question.
const MOST_IDLE: usize = 8;

pub struct AuthService {
    pub live: Arc<Live>,
}

#[async_trait]
impl Service for AuthService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut ends: ShutdownWatch, _listeners_per_fd: usize) {
        let connector = Arc::new(Connector::new(MOST_IDLE));
        let mut snapshot = self.live.pin();
        let mut fetching = begin_fetching(&snapshot, &connector);
        let mut rest = INTERVAL;
        loop {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = ends.changed() => return,
            }
            let newest = self.live.pin();
            if !Arc::ptr_eq(&newest, &snapshot) {
                // Dropping the old set ends what the old configuration asked for.
                (fetching, snapshot) = (begin_fetching(&newest, &connector), newest);
            }
            while fetching.try_join_next().is_some() {}
            let begun = Instant::now();
            snapshot.routes.iter().for_each(|route| route.filters.look_at_files(&route.name));
            rest = INTERVAL.max(begun.elapsed() * REST);
        }
    }

    fn name(&self) -> &str {
        "auth"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

fn begin_fetching(snapshot: &Arc<Snapshot>, connector: &Arc<Connector>) -> JoinSet<()> {
    let mut fetching = JoinSet::new();
    for (index, route) in snapshot.routes.iter().enumerate() {
        if route.token_keys.is_some() {
            fetching.spawn(token_keys::keep_fetching(Arc::clone(snapshot), index, Arc::clone(connector)));
        }
        if route.provider.is_some() {
            fetching.spawn(oidc_provider::keep_fetching(Arc::clone(snapshot), index, Arc::clone(connector)));
        }
    }
    fetching
}
