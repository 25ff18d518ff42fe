//! The admin endpoint: what probes and people may ask of the process, and on a unix socket
//! what they may change of an upstream's servers. Orders to the process itself go over the
//! control socket, where the caller is known.

mod api;
mod caller;
mod client;
mod figures;
mod metrics;
mod process_figures;
mod servers;
pub mod stats;

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::config::Address;
use crate::listener::{AcceptGate, Listener};
use crate::telemetry::contain;
pub use api::AdminApi;
pub use caller::Reach;
pub use client::ask;
pub use figures::Figures;
pub use servers::Servers;
pub use stats::{RouteStats, Stats};

/// How long an answer under way may take once another process has the socket.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// How long accepting rests after it failed, as it does without descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Sockets that wait for the endpoint to let go of the one before.
const WAITING_SOCKETS: usize = 4;

/// Serves an [`AdminApi`] on one socket after the other, on each until another process has it.
pub struct AdminService {
    address: Address,
    sockets: Receiver<(OwnedFd, Arc<AcceptGate>)>,
    api: Arc<AdminApi>,
}

/// Gives the endpoint its sockets.
#[derive(Debug)]
pub struct AdminSockets(Sender<(OwnedFd, Arc<AcceptGate>)>);

impl AdminSockets {
    /// Has the endpoint accept on `socket` from the opening of `gate` to a hand-over.
    pub fn serve_on(&self, socket: OwnedFd, gate: Arc<AcceptGate>) {
        if let Err(e) = self.0.try_send((socket, gate)) {
            log::error!("the admin endpoint takes no socket: {e}");
        }
    }
}

impl AdminService {
    pub fn new(address: Address, api: Arc<AdminApi>) -> (Self, AdminSockets) {
        let (sender, sockets) = channel(WAITING_SOCKETS);
        (Self { address, sockets, api }, AdminSockets(sender))
    }

    async fn serve_on(&self, socket: OwnedFd, gate: Arc<AcceptGate>) {
        gate.opened().await;
        let listener = match Listener::new(&self.address, socket) {
            Ok(listener) => listener,
            Err(e) => return log::error!("the admin endpoint ended: {e}"),
        };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = gate.handed_over() => return,
            };
            match accepted {
                Ok(accepted) => match accepted.into_stream() {
                    Ok(stream) => drop(tokio::spawn(serve(Arc::clone(&self.api), stream, Arc::clone(&gate)))),
                    Err(e) => log::debug!("a caller of the admin endpoint was gone before it was served: {e}"),
                },
                Err(e) => {
                    log::warn!("the admin endpoint cannot accept: {e}");
                    tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                }
            }
        }
    }
}

#[async_trait]
impl Service for AdminService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _ends: ShutdownWatch, _listeners_per_fd: usize) {
        while let Some((socket, gate)) = self.sockets.recv().await {
            self.serve_on(socket, gate).await;
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
