//! The start of the worker threads.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

use super::workers::{ServeConnection, Workers};

/// Starts `threads` workers, each with what `service` makes. With `work_stealing` there is one
/// worker of that many threads.
///
/// # Errors
/// In words, when the system has no room for the threads, or a service cannot be made.
pub fn start_workers<S: ServeConnection>(
    threads: usize,
    work_stealing: bool,
    service: impl Fn() -> Result<S, String>,
) -> Result<Arc<Workers<S>>, String> {
    let cut = watch::Sender::new(false);
    let handles = start_threads(threads, work_stealing, &cut)
        .map_err(|e| format!("cannot start {threads} worker threads: {e}"))?;
    let services = handles.iter().map(|_| service().map(Arc::new)).collect::<Result<_, _>>()?;
    Ok(Workers::new(&handles, services, cut))
}

/// Starts the threads, and returns the runtime of each worker. Each is driven until `cut`; with it
/// goes whatever was under way on it.
fn start_threads(threads: usize, work_stealing: bool, cut: &watch::Sender<bool>) -> io::Result<Vec<Handle>> {
    let runtimes = if work_stealing {
        vec![Builder::new_multi_thread().worker_threads(threads).thread_name("worker").enable_all().build()?]
    } else {
        let build = |_| Builder::new_current_thread().enable_all().build();
        (0..threads).map(build).collect::<io::Result<_>>()?
    };
    let handles = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
    for (number, runtime) in runtimes.into_iter().enumerate() {
        let mut cut = cut.subscribe();
        std::thread::Builder::new().name(format!("worker {number}")).spawn(move || {
            if runtime.block_on(cut.wait_for(|cut| *cut)).is_err() {
                // Nobody can cut it any more: it is driven to the end of the process.
                runtime.block_on(std::future::pending::<()>());
            }
        })?;
    }
    Ok(handles)
}
