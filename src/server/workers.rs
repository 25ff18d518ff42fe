//! What accepts connections: the workers that the configuration asks for, on the sockets of its
//! listeners, and the admin endpoint. They begin to at the start of the process, and once more
//! each time that it gets its listeners back.

use std::sync::Arc;

use super::admin::AdminSockets;
use super::sockets::{SocketUse, Sockets};
use crate::config::{Address, Config, Listener};
use crate::listener::{AcceptGate, ListenerIndex, ListeningSocket, Workers, accept_on, start_workers};
use crate::proxy::{HttpService, HttpServiceParts};

/// The workers and the admin endpoint of the process.
pub struct Acceptors {
    workers: Arc<Workers<HttpService>>,
    listeners: Vec<Address>,
    admin: Option<(Address, AdminSockets)>,
}

impl Acceptors {
    /// Starts the workers, which accept nothing yet. `admin` is the endpoint, where there is one.
    ///
    /// # Errors
    /// In words, when the process has no room for its threads.
    pub fn start(
        config: &Config,
        parts: &HttpServiceParts,
        admin: Option<(Address, AdminSockets)>,
    ) -> Result<Self, String> {
        let workers = start_workers(threads(config), steals_work(config), || HttpService::new(parts.clone()))?;
        let listeners = config.listeners.iter().map(|Listener { address, .. }| address.clone()).collect();
        Ok(Self { workers, listeners, admin })
    }

    /// Has connections be accepted on duplicates of `sockets` once `gate` is open.
    ///
    /// # Errors
    /// In words, when the process has no room for the descriptors.
    pub fn accept_on(&self, sockets: &Sockets, gate: &Arc<AcceptGate>) -> Result<(), String> {
        let mut listening = Vec::new();
        for (index, address) in self.listeners.iter().enumerate() {
            let duplicates = sockets.duplicates(address).map_err(|e| format!("{address}: {e}"))?;
            let listener = ListenerIndex(index);
            let listening_on = |socket| ListeningSocket { listener, address: address.clone(), socket };
            listening.extend(duplicates.into_iter().map(listening_on));
        }
        accept_on(&self.workers, listening, gate);
        if let Some((address, admin)) = &self.admin {
            let socket = sockets.duplicate(&SocketUse::Admin(address.clone())).map_err(|e| format!("admin: {e}"))?;
            admin.serve_on(socket, Arc::clone(gate));
        }
        Ok(())
    }

    /// Has the workers drop what they are doing: the process ends.
    pub fn cut(&self) {
        self.workers.cut();
    }

    pub fn listeners(&self) -> &[Address] {
        &self.listeners
    }

    pub fn admin(&self) -> Option<&Address> {
        self.admin.as_ref().map(|(address, _)| address)
    }
}

fn threads(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    config.server.threads.unwrap_or(cores)
}

/// One runtime for each thread costs less per request than work stealing.
fn steals_work(config: &Config) -> bool {
    config.server.work_stealing.unwrap_or(false)
}

/// A socket for each thread, so that they need not share one. The sockets of a service manager
/// are all that it passes on to the next process.
pub fn sockets_per_listener(config: &Config, keeps_files: bool) -> usize {
    if keeps_files || steals_work(config) { 1 } else { threads(config) }
}
