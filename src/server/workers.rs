//! The workers that the configuration asks for, with the sockets of its listeners.

use std::sync::Arc;

use super::sockets::Sockets;
use crate::config::{Config, Listener};
use crate::listener::{AcceptGate, ListeningSocket, start_workers};
use crate::proxy::{HttpService, HttpServiceParts};

/// Starts the workers, which accept once `gate` is open.
///
/// # Errors
/// In words, when the process has no room for its threads or descriptors.
pub fn start(
    config: &Config,
    parts: &HttpServiceParts,
    sockets: &Sockets,
    gate: &Arc<AcceptGate>,
) -> Result<(), String> {
    let mut listening = Vec::new();
    for Listener { address, .. } in &config.listeners {
        let duplicates = sockets.duplicates(address).map_err(|e| format!("{address}: {e}"))?;
        listening.extend(duplicates.into_iter().map(|socket| ListeningSocket { address: address.clone(), socket }));
    }
    start_workers(threads(config), steals_work(config), || HttpService::new(parts.clone()), listening, gate)
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
