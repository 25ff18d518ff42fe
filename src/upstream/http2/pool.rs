//! The connections of one worker that take requests. While the first one to a server is being made,
//! other requests wait for it rather than make their own.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::connection::{Connection, Slot};

#[derive(Debug, Default)]
pub struct Pool {
    /// Whether there ever was a connection: a worker that only speaks HTTP/1 need not look.
    is_used: AtomicBool,
    entries: Mutex<HashMap<u64, Entry, BuildHasherDefault<DefaultHasher>>>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Those in front are filled first, so that the last ones become idle.
    connections: Vec<Arc<Connection>>,
    /// Tells of a connection that is being made.
    dialing: Option<watch::Receiver<bool>>,
}

/// What a request does that needs a connection.
#[derive(Debug)]
pub enum Turn {
    Take(Slot),
    /// It makes a connection for itself and for others.
    Dial(Dialing),
    /// Somebody else does.
    Wait(Waiting),
}

/// A connection that is being made, until it takes requests or fails.
#[derive(Debug)]
pub struct Dialing {
    outcome: watch::Sender<bool>,
    /// Let go of last, when nobody can wait any more.
    _lease: Lease,
}

#[derive(Debug)]
pub struct Waiting(watch::Receiver<bool>);

/// A place in the pool; what is kept there is let go of with it.
#[derive(Debug)]
pub struct Lease {
    pool: Weak<Pool>,
    key: u64,
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry, BuildHasherDefault<DefaultHasher>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place on a connection of this key.
    pub fn take(&self, key: u64) -> Option<Slot> {
        if !self.is_used.load(Ordering::Relaxed) {
            return None;
        }
        self.lock().get_mut(&key)?.take()
    }

    /// What a request of this key does.
    pub fn turn(self: &Arc<Self>, key: u64) -> Turn {
        let mut entries = self.lock();
        let entry = entries.entry(key).or_default();
        if let Some(slot) = entry.take() {
            return Turn::Take(slot);
        }
        // The sender of one that has ended is gone.
        if let Some(dialing) = entry.dialing.as_ref().filter(|dialing| dialing.has_changed().is_ok()) {
            return Turn::Wait(Waiting(dialing.clone()));
        }
        let (outcome, dialing) = watch::channel(false);
        entry.dialing = Some(dialing);
        Turn::Dial(Dialing { outcome, _lease: self.lease(key) })
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.lock().values().all(|entry| entry.connections.is_empty())
    }

    pub fn lease(self: &Arc<Self>, key: u64) -> Lease {
        Lease { pool: Arc::downgrade(self), key }
    }

    pub fn put(&self, key: u64, connection: &Arc<Connection>) {
        self.is_used.store(true, Ordering::Relaxed);
        self.lock().entry(key).or_default().connections.push(Arc::clone(connection));
    }
}

impl Entry {
    fn take(&mut self) -> Option<Slot> {
        self.connections.retain(|connection| connection.is_open());
        self.connections.iter().find_map(Connection::slot)
    }
}

impl Dialing {
    /// The connection takes requests.
    pub fn succeeded(self) {
        self.outcome.send_replace(true);
    }
}

impl Waiting {
    /// Whether the connection was made. One that was may be full already.
    pub async fn outcome(mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut entries = pool.lock();
        if let Some(entry) = entries.get_mut(&self.key) {
            entry.connections.retain(|connection| connection.is_open());
            let is_dialing = entry.dialing.as_ref().is_some_and(|dialing| dialing.has_changed().is_ok());
            if entry.connections.is_empty() && !is_dialing {
                entries.remove(&self.key);
            }
        }
    }
}
