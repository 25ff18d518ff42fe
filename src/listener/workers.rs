//! The workers of the process, and which of them serves a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use pingora_core::server::ShutdownWatch;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::accept::Accepted;
use super::accept_gate::AcceptGate;
use super::entrances::ListenerIndex;

/// What serves the connections of one worker.
pub trait ServeConnection: Send + Sync + 'static {
    /// Begins to serve a connection of a listener, which counts from now on; the future goes on to
    /// its end. `shutdown` tells when connections are no longer accepted.
    fn serve_connection(
        self: Arc<Self>,
        listener: ListenerIndex,
        accepted: Accepted,
        shutdown: ShutdownWatch,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// All workers of the process.
pub struct Workers<S> {
    each: Vec<Worker<S>>,
    /// Whether the workers drop what they are doing.
    cut: watch::Sender<bool>,
}

struct Worker<S> {
    runtime: Handle,
    service: Arc<S>,
    /// How many it serves.
    connections: AtomicUsize,
}

impl<S> std::fmt::Debug for Workers<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connections = self.each.iter().map(|worker| worker.connections.load(Ordering::Relaxed));
        f.debug_list().entries(connections).finish()
    }
}

/// A connection that is counted until it is dropped.
struct Counted<S> {
    workers: Arc<Workers<S>>,
    worker: usize,
}

impl<S> Drop for Counted<S> {
    fn drop(&mut self) {
        self.workers.each[self.worker].connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S: ServeConnection> Workers<S> {
    /// One worker for each runtime, each with a service of its own.
    pub(super) fn new(runtimes: &[Handle], services: Vec<Arc<S>>, cut: watch::Sender<bool>) -> Arc<Self> {
        let worker = |(runtime, service): (&Handle, Arc<S>)| Worker {
            runtime: runtime.clone(),
            service,
            connections: AtomicUsize::new(0),
        };
        Arc::new(Self { each: runtimes.iter().zip(services).map(worker).collect(), cut })
    }

    /// The runtimes of the workers, in their order.
    pub(super) fn runtimes(&self) -> impl Iterator<Item = &Handle> + Clone {
        self.each.iter().map(|worker| &worker.runtime)
    }

    /// Has every worker drop its connections with what goes on on them, and end.
    pub fn cut(&self) {
        self.cut.send_replace(true);
    }

    /// Has a connection that the worker `own` accepted be served.
    pub(super) fn serve(self: &Arc<Self>, own: usize, listener: ListenerIndex, accepted: Accepted, gate: &AcceptGate) {
        let place = self.place_for(own);
        let worker = &self.each[place];
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted { workers: Arc::clone(self), worker: place };
        let moved = if place == own { Ok(accepted) } else { accepted.move_to(&worker.runtime) };
        let accepted = match moved {
            Ok(accepted) => accepted,
            Err(e) => return log::debug!("a connection was gone before it was served: {e}"),
        };
        let serving = Arc::clone(&worker.service).serve_connection(listener, accepted, gate.watch());
        // An async block would hold the future twice, as what it was given and as what it waits for.
        worker.runtime.spawn(serving.map(|()| drop(counted)));
    }

    /// The worker that accepted the connection, unless another one has fewer. Of several that
    /// have equally few it is the next one in turn.
    fn place_for(&self, own: usize) -> usize {
        let count = |place: usize| self.each[place].connections.load(Ordering::Relaxed);
        let mut best = (own, count(own));
        for place in (own + 1..self.each.len()).chain(0..own) {
            let connections = count(place);
            if connections < best.1 {
                best = (place, connections);
            }
        }
        best.0
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    struct Nothing;

    impl ServeConnection for Nothing {
        fn serve_connection(
            self: Arc<Self>,
            _listener: ListenerIndex,
            _accepted: Accepted,
            _shutdown: ShutdownWatch,
        ) -> impl Future<Output = ()> + Send + 'static {
            std::future::ready(())
        }
    }

    #[test]
    fn a_connection_goes_where_there_are_fewest_and_stays_where_there_are_as_few() {
        let runtimes: Vec<_> = (0..3).map(|_| Builder::new_current_thread().build().unwrap()).collect();
        let handles: Vec<Handle> = runtimes.iter().map(|runtime| runtime.handle().clone()).collect();
        let workers = Workers::new(&handles, (0..3).map(|_| Arc::new(Nothing)).collect(), watch::Sender::new(false));
        let set = |counts: [usize; 3]| {
            workers
                .each
                .iter()
                .zip(counts)
                .for_each(|(worker, count)| worker.connections.store(count, Ordering::Relaxed));
        };
        set([0, 0, 0]);
        assert_eq!((0..3).map(|own| workers.place_for(own)).collect::<Vec<_>>(), [0, 1, 2]);
        set([2, 1, 1]);
        assert_eq!((0..3).map(|own| workers.place_for(own)).collect::<Vec<_>>(), [1, 1, 2]);
        set([1, 2, 1]);
        assert_eq!(workers.place_for(1), 2, "the next one in turn");
    }
}
