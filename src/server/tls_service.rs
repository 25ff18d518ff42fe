//! The thread that keeps what TLS is made of up to date: the keys of session tickets, and the
//! files of certificates.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;

use super::admin::AccessInForce;
use super::files::ticket_keys::TicketKeyKeeper;
use crate::runtime::Live;

/// The time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(1);
/// It is longer where a look takes long: with tens of thousands of files they are not to keep a
/// core busy.
const REST: u32 = 50;

pub struct TlsService {
    pub live: Arc<Live>,
    pub ticket_keys: Arc<TicketKeyKeeper>,
    /// `None` where there is no admin endpoint.
    pub admin: Option<Arc<AccessInForce>>,
}

#[async_trait]
impl Service for TlsService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, mut ends: ShutdownWatch, _listeners_per_fd: usize) {
        let mut rest = INTERVAL;
        loop {
            tokio::select! {
                () = tokio::time::sleep(rest) => {}
                _ = ends.changed() => return,
            }
            let (snapshot, begun) = (self.live.pin(), Instant::now());
            self.ticket_keys.refresh_for(&snapshot.entrances);
            snapshot.entrances.iter().for_each(|entrance| entrance.look_at_files());
            self.admin.iter().for_each(|admin| admin.pin().entrance.look_at_files());
            rest = INTERVAL.max(begun.elapsed() * REST);
        }
    }

    fn name(&self) -> &str {
        "tls"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
