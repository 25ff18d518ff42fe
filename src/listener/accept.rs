//! Connections from the queue of a listening socket, and why there are none.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::runtime::Handle;

use crate::config::Address;
use crate::transport::Socket;

/// A listening socket on the runtime that was entered.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A client's connection, on the runtime of the listener that accepted it.
#[derive(Debug)]
pub enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NotAccepted {
    /// The one that waited is gone, or could not be had: the next one may be.
    Lost,
    /// The system has no descriptors or no memory left.
    Exhausted(io::Error),
    /// The socket takes no connections any more.
    Broken(io::Error),
}

impl Listener {
    /// The socket does not block.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub fn new(address: &Address, socket: OwnedFd) -> io::Result<Self> {
        match address {
            Address::Tcp(_) => TcpListener::from_std(socket.into()).map(Self::Tcp),
            Address::Unix(_) => UnixListener::from_std(socket.into()).map(Self::Unix),
        }
    }

    /// Waits for a connection.
    ///
    /// # Errors
    /// The system's; [`not_accepted`] says what one means.
    pub async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, remote)| Accepted::Tcp(stream, remote)),
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
        }
    }

    /// Closes the socket and returns the connections that the kernel had accepted, at most
    /// `most`. It may know of some that the runtime has not heard of.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn into_backlog(self, most: usize) -> io::Result<Vec<Accepted>> {
        let mut backlog = Vec::new();
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                while backlog.len() < most
                    && let Ok((stream, remote)) = listener.accept()
                {
                    stream.set_nonblocking(true)?;
                    backlog.push(Accepted::Tcp(TcpStream::from_std(stream)?, remote));
                }
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                while backlog.len() < most
                    && let Ok((stream, _)) = listener.accept()
                {
                    stream.set_nonblocking(true)?;
                    backlog.push(Accepted::Unix(UnixStream::from_std(stream)?));
                }
            }
        }
        Ok(backlog)
    }
}

/// accept(2) has errors of the network that are the connection's, not the socket's.
pub(super) fn not_accepted(e: io::Error) -> NotAccepted {
    match Errno::from_io_error(&e) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => NotAccepted::Exhausted(e),
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP | Errno::FAULT) => NotAccepted::Broken(e),
        Some(_) | None => NotAccepted::Lost,
    }
}

impl Accepted {
    /// Has the events of the connection come to another runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn move_to(self, runtime: &Handle) -> io::Result<Self> {
        match self {
            Self::Tcp(stream, remote) => {
                let stream = stream.into_std()?;
                let _entered = runtime.enter();
                TcpStream::from_std(stream).map(|stream| Self::Tcp(stream, remote))
            }
            Self::Unix(stream) => {
                let stream = stream.into_std()?;
                let _entered = runtime.enter();
                UnixStream::from_std(stream).map(Self::Unix)
            }
        }
    }

    /// The socket, and the client's address; `None` on a unix socket.
    pub fn into_socket(self) -> (Socket, Option<SocketAddr>) {
        match self {
            Self::Unix(stream) => (Socket::from(stream), None),
            Self::Tcp(stream, remote) => {
                if let Err(e) = stream.set_nodelay(true) {
                    log::debug!("a client's connection: {e}");
                }
                (Socket::from(stream), Some(remote))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_listener_gives_out_what_waits() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::new(&Address::Tcp(address), socket.into()).unwrap();
        let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let Accepted::Tcp(_, remote) = listener.accept().await.unwrap() else { panic!("not TCP") };
        assert_eq!(remote, clients[0].local_addr().unwrap());
        assert_eq!(listener.into_backlog(1).unwrap().len(), 1);
    }

    #[test]
    fn what_is_wrong_with_the_socket_is_told_from_what_is_wrong_with_a_connection() {
        let told = |errno: Errno| not_accepted(errno.into());
        assert!(matches!(told(Errno::INVAL), NotAccepted::Broken(_)));
        assert!(matches!(told(Errno::CONNABORTED), NotAccepted::Lost));
        assert!(matches!(told(Errno::MFILE), NotAccepted::Exhausted(_)));
    }
}
