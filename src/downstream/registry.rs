//! Every client connection that is open, and whether it is at work: what has to be waited
//! for before the process may end. Costs a request two stores to its own connection's
//! activity, and nothing to others.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::watch;

use super::capacity::Capacity;
use super::connection::{Activity, ClientConnection, ProcessEnd};

/// How many connections there are of each activity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    pub idle: usize,
    pub requests: usize,
    pub tunnels: usize,
}

impl ConnectionCounts {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The table. One for all listeners of a process.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<HashMap<u64, Arc<ClientConnection>>>,
    next: AtomicU64,
    end: Arc<ProcessEnd>,
    /// Whether connections are closed after their responses, for who waits for it.
    closing_begins: watch::Sender<bool>,
    tunnels_end: watch::Sender<bool>,
    entering: EnteringCounts,
    /// How many there may be.
    pub capacity: Arc<Capacity>,
}

/// Connections before their first request.
#[derive(Debug, Default)]
struct EnteringCounts {
    silent: AtomicUsize,
    speaking: AtomicUsize,
}

/// A connection before its first request, while a PROXY header or a TLS handshake is awaited. It
/// is waited for like a request once it has begun to speak.
#[derive(Debug)]
pub struct Entering {
    connections: Arc<Connections>,
    speaks: AtomicBool,
}

impl Entering {
    /// The client has sent something.
    pub fn begin(&self) {
        if !self.speaks.swap(true, Ordering::Relaxed) {
            let counts = &self.connections.entering;
            counts.speaking.fetch_add(1, Ordering::Relaxed);
            counts.silent.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let counts = &self.connections.entering;
        let count = if *self.speaks.get_mut() { &counts.speaking } else { &counts.silent };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connections {
    /// From now on every connection is closed after its response: the process is about to end.
    pub fn close_after_responses(&self) {
        self.end.set_closing(true);
        self.closing_begins.send_replace(true);
    }

    /// Connections go on after their responses again, and tunnels to their own end: the process
    /// lives on after all.
    pub fn go_on(&self) {
        self.end.set_closing(false);
        self.closing_begins.send_replace(false);
        self.tunnels_end.send_replace(false);
    }

    /// Ends every tunnel and event stream, now and from now on.
    pub fn end_tunnels(&self) {
        self.tunnels_end.send_replace(true);
    }

    /// What is dropped from now on is dropped because the process ends.
    pub fn cut(&self) {
        self.end.set_cut();
    }

    /// What the end of the process does, for a connection to look at.
    pub(super) fn process_end(&self) -> Arc<ProcessEnd> {
        Arc::clone(&self.end)
    }

    /// Ready once connections are closed after their responses.
    pub(super) fn when_closing(&self) -> Closing {
        Closing(Reached::new(&self.closing_begins))
    }

    pub fn counts(&self) -> ConnectionCounts {
        let idle = self.entering.silent.load(Ordering::Relaxed);
        let requests = self.entering.speaking.load(Ordering::Relaxed);
        let mut counts = ConnectionCounts { idle, requests, tunnels: 0 };
        for connection in self.open.lock().unwrap_or_else(PoisonError::into_inner).values() {
            match connection.activity() {
                Activity::Idle => counts.idle += 1,
                Activity::Request => counts.requests += 1,
                Activity::Tunnel => counts.tunnels += 1,
            }
        }
        counts
    }

    /// Counts a connection that has no request yet, because of what comes before the first one.
    pub fn entering(self: &Arc<Self>) -> Entering {
        self.entering.silent.fetch_add(1, Ordering::Relaxed);
        Entering { connections: Arc::clone(self), speaks: AtomicBool::new(false) }
    }

    /// Counts a connection until the registration is dropped.
    pub(super) fn register(self: &Arc<Self>, connection: Arc<ClientConnection>) -> Registration {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(key, connection);
        Registration { connections: Arc::clone(self), key }
    }
}

/// A connection's place in the table.
#[derive(Debug)]
pub(super) struct Registration {
    connections: Arc<Connections>,
    key: u64,
}

impl Registration {
    /// For a connection that has become a tunnel.
    pub fn tunnels_end(&self) -> TunnelsEnd {
        TunnelsEnd(Reached::new(&self.connections.tunnels_end))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// Ready once every tunnel has to end.
#[derive(Debug)]
pub(super) struct TunnelsEnd(Reached);

impl TunnelsEnd {
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

/// Ready once connections are closed after their responses.
#[derive(Debug)]
pub(super) struct Closing(Reached);

impl Closing {
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx)
    }
}

/// Ready once a flag is set.
struct Reached(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Reached {
    fn new(flag: &watch::Sender<bool>) -> Self {
        let mut flag = flag.subscribe();
        Self(Box::pin(async move {
            if flag.wait_for(|set| *set).await.is_err() {
                // The table is gone, and with it the process.
            }
        }))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reached")
    }
}

#[cfg(test)]
mod tests {
    use super::super::connection::Remote;
    use super::*;

    fn connection(connections: &Connections) -> Arc<ClientConnection> {
        Arc::new(ClientConnection::new(Remote::plain(None), connections.process_end()))
    }

    #[test]
    fn connections_are_counted_by_what_they_do() {
        let connections = Arc::new(Connections::default());
        let open: Vec<_> = (0..3).map(|_| connection(&connections)).collect();
        let registered: Vec<_> = open.iter().map(|c| connections.register(Arc::clone(c))).collect();
        open[0].set_activity(Activity::Request);
        open[1].set_activity(Activity::Tunnel);
        assert_eq!(connections.counts(), ConnectionCounts { idle: 1, requests: 1, tunnels: 1 });
        drop(registered);
        assert!(connections.counts().is_empty());
        let (silent, speaking) = (connections.entering(), connections.entering());
        (0..2).for_each(|_| speaking.begin());
        assert_eq!(connections.counts(), ConnectionCounts { idle: 1, requests: 1, tunnels: 0 });
        drop((silent, speaking));
        assert!(connections.counts().is_empty());
    }

    #[test]
    fn every_connection_learns_that_the_process_ends() {
        let connections = Arc::new(Connections::default());
        let open = connection(&connections);
        assert!(!open.closes_after_response());
        connections.close_after_responses();
        assert!(open.closes_after_response());
        connections.go_on();
        assert!(!open.closes_after_response());
    }
}
