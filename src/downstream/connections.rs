//! Every client connection that is open, and whether it is at work: what has to be
//! waited for before the process may end. Costs a request two stores to its own
//! connection's flag, and nobody else's.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::watch;

use super::peer::Shared;

/// What goes on on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    /// Between two requests, or before the first.
    Idle,
    /// From the first byte of a request to the last of its response.
    Request,
    /// A WebSocket, another upgrade or an event stream: it ends when somebody wants it to.
    Tunnel,
}

impl Activity {
    pub(super) fn of(value: u8) -> Self {
        match value {
            1 => Self::Request,
            2 => Self::Tunnel,
            _ => Self::Idle,
        }
    }
}

/// How many connections there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    pub idle: usize,
    pub requests: usize,
    pub tunnels: usize,
}

impl Census {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The table. One for all listeners of a process.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<HashMap<u64, Shared>>,
    next: AtomicU64,
    closing: Arc<AtomicBool>,
    tunnels_end: watch::Sender<bool>,
}

impl Connections {
    /// From now on every response ends its connection: the process is about to end.
    pub fn close_after_answers(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// Ends every tunnel and event stream, now and from now on.
    pub fn end_tunnels(&self) {
        self.tunnels_end.send_replace(true);
    }

    /// What [`Self::close_after_answers`] sets, for a connection to look at.
    pub(super) fn closing(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closing)
    }

    pub fn census(&self) -> Census {
        let mut census = Census::default();
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for peer in open.values().filter_map(Shared::peer) {
            match peer.activity() {
                Activity::Idle => census.idle += 1,
                Activity::Request => census.requests += 1,
                Activity::Tunnel => census.tunnels += 1,
            }
        }
        census
    }

    /// Counts a connection until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>, connection: Shared) -> Entered {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(key, connection);
        Entered { connections: Arc::clone(self), key }
    }
}

#[derive(Debug)]
pub(super) struct Entered {
    connections: Arc<Connections>,
    key: u64,
}

impl Entered {
    /// For a connection that has become a tunnel.
    pub fn end(&self) -> End {
        let mut ends = self.connections.tunnels_end.subscribe();
        End(Box::pin(async move {
            if ends.wait_for(|end| *end).await.is_err() {
                // The table is gone, and with it the process.
            }
        }))
    }
}

/// When a tunnel's time is up.
pub(super) struct End(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl End {
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("End")
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::Peer;
    use super::*;

    #[test]
    fn connections_are_counted_by_what_they_do() {
        let connections = Arc::new(Connections::default());
        let shared: Vec<Shared> =
            (0..3).map(|_| Shared::new(Peer::new(None, connections.closing())).unwrap()).collect();
        let entered: Vec<Entered> = shared.iter().map(|s| connections.enter(s.clone())).collect();
        shared[0].peer().unwrap().set_activity(Activity::Request);
        shared[1].peer().unwrap().set_activity(Activity::Tunnel);
        assert_eq!(connections.census(), Census { idle: 1, requests: 1, tunnels: 1 });
        drop(entered);
        assert!(connections.census().is_empty());
    }

    #[test]
    fn every_connection_learns_that_the_process_ends() {
        let connections = Arc::new(Connections::default());
        let peer = Peer::new(None, connections.closing());
        assert!(!peer.ends_after_answer());
        connections.close_after_answers();
        assert!(peer.ends_after_answer());
    }
}
