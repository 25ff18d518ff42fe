//! The admin endpoint: what probes and people may ask of the process, and on a unix socket or with a
//! token what they may change of an upstream's servers. Orders to the process itself go over the
//! control socket, where the caller is known.

mod answer;
mod api;
mod app;
mod caller;
mod certificates;
mod client;
mod dashboard;
mod explained;
mod figures;
mod history;
mod metrics;
mod patch;
mod process_figures;
mod reasons;
mod requests;
mod resource;
mod routes;
mod servers;
pub mod stats;
mod stream;
mod token;

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
use crate::listener::{AcceptGate, Accepted, Listener};
use crate::telemetry::contain;
pub use api::AdminApi;
use app::AdminApp;
use caller::Peer;
pub use caller::{Access, Reach};
pub use client::ask;
pub use figures::Figures;
pub use servers::Servers;
pub use stats::{RouteStats, Stats};
pub use token::Token;

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
                Ok(accepted) => {
                    let app = AdminApp { api: Arc::clone(&self.api), peer: peer(&accepted) };
                    match accepted.into_stream() {
                        Ok(stream) => drop(tokio::spawn(serve(Arc::new(app), stream, Arc::clone(&gate)))),
                        Err(e) => log::debug!("a caller of the admin endpoint was gone before it was served: {e}"),
                    }
                }
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

/// Who calls, where the kernel knows.
fn peer(accepted: &Accepted) -> Peer {
    match accepted {
        Accepted::Tcp(..) => None,
        Accepted::Unix(stream) => {
            stream.peer_cred().ok().map(|caller| (caller.uid(), caller.pid().unwrap_or_default()))
        }
    }
}

async fn serve(app: Arc<AdminApp>, stream: L4Stream, gate: Arc<AcceptGate>) {
    let shutdown = gate.watch();
    let handed_over = async {
        gate.handed_over().await;
        tokio::time::sleep(LAST_ANSWER).await;
    };
    let answering = pin!(app.process_new(Box::new(stream), &shutdown));
    tokio::select! {
        answered = contain(answering) => if let Err(panicked) = answered {
            log::error!("the admin endpoint did not answer: {panicked}");
        },
        () = handed_over => {}
    }
}
