//! The start of the worker threads.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};

use super::accept_gate::AcceptGate;
use super::accept_loop::{self, ListeningSocket};
use super::workers::{ServeConnection, Workers};

/// Starts `threads` workers, each with what `service` makes. They share out `sockets` and accept
/// on them once `gate` is open. With `work_stealing` there is one worker of that many threads.
///
/// # Errors
/// When the system has no room for the threads.
pub fn start_workers<S: ServeConnection>(
    threads: usize,
    work_stealing: bool,
    service: impl Fn() -> S,
    sockets: Vec<ListeningSocket>,
    gate: &Arc<AcceptGate>,
) -> io::Result<()> {
    let runtimes = if work_stealing {
        vec![Builder::new_multi_thread().worker_threads(threads).thread_name("worker").enable_all().build()?]
    } else {
        let build = |_| Builder::new_current_thread().enable_all().build();
        (0..threads).map(build).collect::<io::Result<_>>()?
    };
    let handles: Vec<Handle> = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
    for (number, runtime) in runtimes.into_iter().enumerate() {
        // The runtime is driven to the end of the process.
        std::thread::Builder::new()
            .name(format!("worker {number}"))
            .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    }
    let workers = Workers::new(&handles, service);
    for (place, socket) in sockets.into_iter().enumerate() {
        let own = place % handles.len();
        handles[own].spawn(accept_loop::run(socket, own, Arc::clone(&workers), Arc::clone(gate)));
    }
    Ok(())
}
