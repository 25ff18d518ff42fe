//! The accept loop of one listening socket: from the opening of the gate to its closing, and
//! then the connections that the kernel had accepted until then.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accept::{Accepted, Listener, NotAccepted, not_accepted};
use super::accept_gate::AcceptGate;
use super::entrances::ListenerIndex;
use super::workers::{ServeConnection, Workers};
use crate::config::Address;

/// The connections that may wait to be accepted: as many as the system allows
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 65_535;
/// The connections of a backlog that are served: with more, new ones keep coming.
const MAX_BACKLOG: usize = 4096;
/// How long accepting rests when the system has no descriptors left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);
/// The time between two warnings of the same trouble.
const NEXT_WARNING: Duration = Duration::from_secs(10);

/// A socket of a listener.
#[derive(Debug)]
pub struct ListeningSocket {
    pub listener: ListenerIndex,
    /// The listener's, as the configuration names it.
    pub address: Address,
    /// It is bound and does not block. It may listen already.
    pub socket: OwnedFd,
}

impl ListeningSocket {
    fn listen(self) -> io::Result<Listener> {
        rustix::net::listen(&self.socket, BACKLOG)?;
        Listener::new(&self.address, self.socket)
    }
}

/// Shares `sockets` out to the workers, which accept on them from the opening of `gate` to its
/// closing.
pub fn accept_on<S: ServeConnection>(workers: &Arc<Workers<S>>, sockets: Vec<ListeningSocket>, gate: &Arc<AcceptGate>) {
    for (socket, (own, runtime)) in sockets.into_iter().zip(workers.runtimes().enumerate().cycle()) {
        runtime.spawn(run(socket, own, Arc::clone(workers), Arc::clone(gate)));
    }
}

/// Accepts on `socket` for the worker `own`, which hands a connection on where another worker
/// has fewer.
async fn run<S: ServeConnection>(socket: ListeningSocket, own: usize, workers: Arc<Workers<S>>, gate: Arc<AcceptGate>) {
    let (index, address) = (socket.listener, socket.address.clone());
    gate.opened().await;
    let listener = match socket.listen() {
        Ok(listener) => listener,
        Err(e) => return gate.fail(format!("cannot listen on {address}: {e}")),
    };
    let (mut stopped, mut warned) = (pin!(gate.stopped()), None);
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            accepted = accept_next(&listener, &address, &mut warned) => match accepted {
                Ok(accepted) => workers.serve(own, index, accepted, &gate),
                Err(e) => return gate.fail(format!("the listener {address} accepts no connections any more: {e}")),
            },
        }
    }
    // Closing the last descriptor of the socket would reset them. After a hand-over the newer
    // process takes them as well, except where it has no such listener.
    match listener.into_backlog(MAX_BACKLOG) {
        Ok(backlog) => backlog.into_iter().for_each(|accepted| workers.serve(own, index, accepted, &gate)),
        Err(e) => log::warn!("closing the listener {address}: {e}"),
    }
}

/// Waits for a connection. `warned` is when the last warning was.
///
/// # Errors
/// When the socket is no listening one any more.
async fn accept_next(listener: &Listener, address: &Address, warned: &mut Option<Instant>) -> io::Result<Accepted> {
    loop {
        match listener.accept().await.map_err(not_accepted) {
            Ok(accepted) => return Ok(accepted),
            Err(NotAccepted::Lost) => {}
            Err(NotAccepted::Exhausted(e)) => {
                if warned.is_none_or(|last| last.elapsed() >= NEXT_WARNING) {
                    *warned = Some(Instant::now());
                    log::warn!("the listener {address} cannot accept: {e}; it goes on trying");
                }
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
            Err(NotAccepted::Broken(e)) => return Err(e),
        }
    }
}
