//! The open connections to one endpoint. Those that lie idle are in the pools of all workers, and
//! an endpoint that is gone must lose them.

use std::net::{SocketAddr as InetAddr, SocketAddrV6};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nix::sys::socket::{Shutdown, SockaddrStorage, getpeername, shutdown};
use pingora_core::protocols::SocketDigest;
use pingora_core::protocols::l4::socket::SocketAddr;

/// The open connections, each with a [`Weak`] of what lives as long as the connection does.
#[derive(Debug, Default)]
pub struct OpenConnections(Mutex<ConnectionTable>);

#[derive(Debug, Default)]
struct ConnectionTable {
    connections: Vec<Connection>,
    /// The number of connections at which those that have ended are removed.
    sweep_at: usize,
}

#[derive(Debug)]
struct Connection {
    /// The key under which the connection is kept while it is idle.
    pool_key: u64,
    socket: RawFd,
    alive: Weak<SocketDigest>,
}

impl OpenConnections {
    pub fn note(&self, pool_key: u64, socket: RawFd, digest: Option<&Arc<SocketDigest>>) {
        let Some(digest) = digest else { return };
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.connections.len() >= table.sweep_at {
            table.connections.retain(|connection| connection.alive.strong_count() > 0);
            table.sweep_at = (table.connections.len() * 2).max(64);
        }
        table.connections.push(Connection { pool_key, socket, alive: Arc::downgrade(digest) });
    }

    /// Shuts down all connections of a key and returns their number. The endpoint, which is at
    /// `address` or at any of `others`, must have no requests. Its pool looks at idle connections,
    /// sees the end and closes them.
    pub fn close(&self, pool_key: u64, address: &SocketAddr, others: &[InetAddr]) -> usize {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_key = table.connections.extract_if(.., |connection| connection.pool_key == pool_key);
        let open = of_key.filter(|connection| connection.alive.strong_count() > 0);
        // The descriptor's number may have been given to another connection since.
        let is_still_it = |socket: RawFd| match address {
            SocketAddr::Inet(expected) => {
                let peer = getpeername::<SockaddrStorage>(socket).ok().and_then(|peer| inet(&peer));
                peer.is_some_and(|peer| peer == *expected || others.contains(&peer))
            }
            SocketAddr::Unix(_) => getpeername::<nix::sys::socket::UnixAddr>(socket).is_ok(),
        };
        let closed = open.filter(|one| is_still_it(one.socket) && shutdown(one.socket, Shutdown::Both).is_ok());
        closed.count()
    }
}

fn inet(peer: &SockaddrStorage) -> Option<InetAddr> {
    match (peer.as_sockaddr_in(), peer.as_sockaddr_in6()) {
        (Some(v4), _) => Some(InetAddr::from((v4.ip(), v4.port()))),
        (None, Some(v6)) => Some(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id()).into()),
        (None, None) => None,
    }
}
