//! The admin endpoint: what probes and people may ask of the process, and on a unix socket
//! what they may change of an upstream's servers. Orders to the process itself go over the
//! control socket, where the caller is known.

mod api;
mod caller;
mod client;
mod servers;

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;

use crate::config::Address;
use crate::listener::{AcceptGate, Listener};
use crate::telemetry::contain;
pub use api::AdminApi;
pub use caller::Reach;
pub use client::ask;
pub use servers::Servers;

/// How long an answer under way may take once another process has the socket.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// How long accepting rests after it failed, as it does without descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Serves an [`AdminApi`] until the process ends or another one has its socket.
pub struct AdminService {
    pub address: Address,
    pub socket: Option<OwnedFd>,
    pub gate: Arc<AcceptGate>,
    pub api: Arc<AdminApi>,
}

#[async_trait]
impl Service for AdminService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _ends: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(socket) = self.socket.take() else { return };
        self.gate.opened().await;
        let listener = match Listener::new(&self.address, socket) {
            Ok(listener) => listener,
            Err(e) => return log::error!("the admin endpoint ended: {e}"),
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.gate.handed_over() => return,
            };
            match accepted {
                Ok(accepted) => match accepted.into_stream() {
                    Ok(stream) => drop(tokio::spawn(serve(Arc::clone(&self.api), stream, Arc::clone(&self.gate)))),
                    Err(e) => log::debug!("a caller of the admin endpoint was gone before it was served: {e}"),
                },
                Err(e) => {
                    log::warn!("the admin endpoint cannot accept: {e}");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }

    fn name(&self) -> &str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

async fn serve(api: Arc<AdminApi>, stream: L4Stream, gate: Arc<AcceptGate>) {
    let shutdown = gate.watch();
    let handed_over = async {
        gate.handed_over().await;
        tokio::time::sleep(LAST_ANSWER).await;
    };
    let answering = pin!(api.process_new(Box::new(stream), &shutdown));
    tokio::select! {
        answered = contain(answering) => if let Err(panicked) = answered {
            log::error!("the admin endpoint did not answer: {panicked}");
        },
        () = handed_over => {}
    }
}
