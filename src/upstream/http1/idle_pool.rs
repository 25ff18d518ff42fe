//! The connections of one worker that wait for another request. One is closed when it has waited
//! for too long, when its server closes it, and when there are too many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::connection::Connection;

/// How often the connections that wait are looked at.
const SWEEP: Duration = Duration::from_secs(1);

/// The connections, each under the key of its peer.
#[derive(Debug)]
pub struct IdlePool {
    idle: Mutex<Idle>,
    /// At most so many wait.
    most: usize,
}

#[derive(Debug, Default)]
struct Idle {
    /// By key; the one that waits for the shortest time is last.
    by_key: BTreeMap<u64, Vec<Waiting>>,
    /// The keys of all, by number: the one that waits for the longest time is first.
    keys: BTreeMap<u64, u64>,
    next_number: u64,
    is_swept: bool,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    connection: Box<Connection>,
    /// `None`: for as long as its server likes.
    until: Option<Instant>,
}

impl IdlePool {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), most })
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection of this key that waits for the shortest time and is alive.
    pub fn take(&self, key: u64) -> Option<Box<Connection>> {
        let now = Instant::now();
        let mut idle = self.lock();
        loop {
            let mut waiting = idle.by_key.get_mut(&key)?.pop()?;
            idle.keys.remove(&waiting.number);
            if waiting.is_alive(now) {
                waiting.connection.set_idle(false);
                return Some(waiting.connection);
            }
        }
    }

    /// Keeps a connection for as long as `limit`, if it is alive.
    pub fn put(self: &Arc<Self>, key: u64, mut connection: Box<Connection>, limit: Option<Duration>) {
        if limit == Some(Duration::ZERO) || !connection.is_quiet() {
            return;
        }
        connection.shrink();
        connection.set_idle(true);
        let mut idle = self.lock();
        let number = idle.next_number;
        idle.next_number += 1;
        idle.keys.insert(number, key);
        let until = limit.map(|limit| Instant::now() + limit);
        idle.by_key.entry(key).or_default().push(Waiting { number, connection, until });
        if idle.keys.len() > self.most {
            idle.drop_longest();
        }
        if !std::mem::replace(&mut idle.is_swept, true) {
            tokio::spawn(sweep_until_empty(Arc::downgrade(self)));
        }
    }
}

impl Waiting {
    fn is_alive(&mut self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until) && self.connection.is_quiet()
    }
}

impl Idle {
    fn drop_longest(&mut self) {
        let Some((number, key)) = self.keys.pop_first() else { return };
        if let Some(of_key) = self.by_key.get_mut(&key) {
            of_key.retain(|waiting| waiting.number != number);
        }
    }

    /// Closes those that are not alive any more.
    fn sweep(&mut self) {
        let (now, keys) = (Instant::now(), &mut self.keys);
        self.by_key.retain(|_, of_key| {
            of_key.retain_mut(|waiting| {
                let is_alive = waiting.is_alive(now);
                if !is_alive {
                    keys.remove(&waiting.number);
                }
                is_alive
            });
            !of_key.is_empty()
        });
    }
}

async fn sweep_until_empty(pool: Weak<IdlePool>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = pool.lock();
        idle.sweep();
        idle.is_swept = !idle.by_key.is_empty();
        if !idle.is_swept {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Socket;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
    }

    fn connection() -> (Box<Connection>, DuplexStream) {
        let (ours, server) = duplex(64);
        (Box::new(Connection::new(Socket::from(ours).into(), Vec::new())), server)
    }

    #[test]
    fn the_one_that_waits_for_the_shortest_time_is_taken() {
        run(async {
            let pool = IdlePool::new(2);
            let mut servers: Vec<_> = (0..3).map(|_| connection()).collect();
            let queues: Vec<_> = servers.iter().map(|(connection, _)| Arc::clone(&connection.queue)).collect();
            let mut ends = Vec::new();
            for (number, (connection, server)) in servers.drain(..).enumerate() {
                // Of two keys.
                pool.put(u64::from(number > 0), connection, None);
                ends.push(server);
            }
            // The first had to go: no more than two may wait.
            assert!(pool.take(0).is_none());
            for expected in [2, 1] {
                assert!(Arc::ptr_eq(&pool.take(1).unwrap().queue, &queues[expected]));
            }
            assert!(pool.take(1).is_none() && pool.lock().keys.is_empty());
        });
    }

    /// Tokio lets a task read 128 times before others have their turn.
    #[test]
    fn a_server_that_closes_all_its_connections_leaves_none() {
        run(async {
            let pool = IdlePool::new(1000);
            for _ in 0..300 {
                let (closed, server) = connection();
                pool.put(1, closed, None);
                drop(server);
            }
            assert!(pool.take(1).is_none());
        });
    }

    #[test]
    fn one_that_is_closed_or_speaks_or_is_too_old_is_not_taken() {
        run(async {
            let pool = IdlePool::new(9);
            let (closed, server) = connection();
            pool.put(1, closed, None);
            drop(server);
            let (speaking, mut server) = connection();
            pool.put(1, speaking, None);
            server.write_all(b"x").await.unwrap();
            let (old, _server) = connection();
            pool.put(1, old, Some(Duration::from_nanos(1)));
            let (unpooled, _server) = connection();
            pool.put(1, unpooled, Some(Duration::ZERO));
            assert_eq!(pool.lock().keys.len(), 3);
            pool.lock().sweep();
            assert!(pool.lock().by_key.is_empty() && pool.lock().keys.is_empty());
        });
    }
}
