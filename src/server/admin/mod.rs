//! The admin endpoint: what probes and people may ask of the process, and on a unix socket, with a
//! token or with a certificate what they may change of an upstream's servers. Orders to the process itself go over the
//! control socket, where the caller is known.

mod access;
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
mod wire;

use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Address;
use crate::listener::{AcceptGate, Accepted, Listener};
use crate::telemetry::contain;
use crate::transport::Complaints;
pub use access::{Access, AccessInForce};
pub use api::AdminApi;
use app::AdminApp;
use caller::Caller;
pub use client::ask;
pub use figures::Figures;
pub use servers::Servers;
pub use stats::{RouteStats, Stats};
use wire::Wire;

/// How long an answer under way may take once another process has the socket.
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// How long accepting rests after it failed, as it does without descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);
/// Connections at once: whoever can connect is not to take the descriptors of the listeners.
const MOST_CONNECTIONS: usize = 512;
/// Sockets that wait for the endpoint to let go of the one before.
const WAITING_SOCKETS: usize = 4;

/// Serves an [`AdminApi`] on one socket after the other, on each until another process has it.
pub struct AdminService {
    address: Address,
    sockets: Receiver<(OwnedFd, Arc<AcceptGate>)>,
    api: Arc<AdminApi>,
    places: Arc<Semaphore>,
    refused: Complaints,
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
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        (Self { address, sockets, api, places, refused: Complaints::default() }, AdminSockets(sender))
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
                Ok(accepted) => match Arc::clone(&self.places).try_acquire_owned() {
                    Ok(place) => {
                        let serving = serve(Arc::clone(&self.api), accepted, Arc::clone(&gate), place);
                        drop(tokio::spawn(serving));
                    }
                    Err(_) => {
                        let what = format_args!(
                            "the admin endpoint {}: a caller was not let in: there are {MOST_CONNECTIONS} already",
                            self.address
                        );
                        self.refused.say(log::Level::Warn, module_path!(), &what);
                    }
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

/// `_place` is the connection's among those at once.
async fn serve(api: Arc<AdminApi>, accepted: Accepted, gate: Arc<AcceptGate>, _place: OwnedSemaphorePermit) {
    let shutdown = gate.watch();
    let handed_over = async {
        gate.handed_over().await;
        tokio::time::sleep(LAST_ANSWER).await;
    };
    let answering = pin!(async {
        if let Some((wire, caller)) = let_in(&api, accepted).await {
            Arc::new(AdminApp { api, caller }).process_new(Box::new(wire), &shutdown).await;
        }
    });
    tokio::select! {
        answered = contain(answering) => if let Err(panicked) = answered {
            log::error!("the admin endpoint did not answer: {panicked}");
        },
        () = handed_over => {}
    }
}

/// Shakes hands, where there is TLS. Why a caller is not let in is logged there.
async fn let_in(api: &AdminApi, accepted: Accepted) -> Option<(Wire, Caller)> {
    let peer = match &accepted {
        Accepted::Tcp(..) => None,
        Accepted::Unix(stream) => {
            stream.peer_cred().ok().map(|caller| (caller.uid(), caller.pid().unwrap_or_default()))
        }
    };
    let (socket, remote) = accepted.into_socket();
    let entered = api.access().entrance.enter(socket, remote, || {}).await.ok()?;
    Some((Wire(entered.transport), Caller { peer, tls: entered.tls }))
}
