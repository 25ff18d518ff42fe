//! Pingora's listening service behind a gate: it accepts nothing before the gate is
//! opened, stops when we say so rather than when the server ends, and leaves no
//! connection behind that the kernel had already taken.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::protocols::{GetSocketDigest, SocketDigest, Stream};
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use pingora_core::services::listening::Service as ListeningService;
use tokio::sync::watch;

use super::sockets::{Sockets, Use};
use crate::config::{Address, Listener};
use crate::proxy::HttpService;

/// More than that are new ones all the while.
const MOST_BACKLOG: usize = 4096;

/// [`HttpService`] with a handle that stays outside, for the probe and for the backlog.
struct Shared(Arc<HttpService>);

#[async_trait]
impl ServerApp for Shared {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.0.process_new(stream, shutdown).await
    }
}

/// When accepting begins and ends.
#[derive(Debug)]
pub struct Gate {
    open: watch::Sender<bool>,
    stop: watch::Sender<bool>,
    retire: watch::Sender<bool>,
}

impl Gate {
    pub fn new() -> Self {
        Self { open: watch::Sender::new(false), stop: watch::Sender::new(false), retire: watch::Sender::new(false) }
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// No connection is accepted from now on; those that there are go on.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Another process has all sockets now, that of the admin endpoint too.
    pub fn retire(&self) {
        // In this order: who is stopped looks whether it is for that.
        self.retire.send_replace(true);
        self.stop();
    }

    /// Waits for [`Self::open`].
    pub async fn opened(&self) {
        reached(&self.open).await;
    }

    /// Waits for [`Self::retire`].
    pub async fn retired(&self) {
        reached(&self.retire).await;
    }

    /// For Pingora, which hands it to every connection.
    pub fn watch(&self) -> ShutdownWatch {
        self.stop.subscribe()
    }
}

async fn reached(flag: &watch::Sender<bool>) {
    if flag.subscribe().wait_for(|set| *set).await.is_err() {
        // Never: the sender stands beside us.
        std::future::pending().await
    }
}

/// One listener's socket, twice: Pingora closes the one it is given.
struct Accepting {
    address: Address,
    pingoras: OwnedFd,
    ours: OwnedFd,
}

pub struct Gated {
    inner: ListeningService<Shared>,
    service: Arc<HttpService>,
    gate: Arc<Gate>,
    sockets: Vec<Accepting>,
}

impl Gated {
    /// # Errors
    /// In words, when a socket's path is not UTF-8, which Pingora cannot take, or the
    /// process has no descriptors left.
    pub fn new(
        service: &Arc<HttpService>,
        gate: &Arc<Gate>,
        listeners: &[Listener],
        sockets: &Sockets,
    ) -> Result<Self, String> {
        let mut inner = ListeningService::new("proxy".to_owned(), Shared(Arc::clone(service)));
        let mut accepting = Vec::new();
        for listener in listeners {
            inner.add_listener(unbuffered(match &listener.address {
                Address::Tcp(address) => ListenerConfig::tcp(address.to_string()),
                Address::Unix(path) => {
                    ListenerConfig::uds(path.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))?)
                }
            }));
            let wanted = Use::Listener(listener.address.clone());
            let duplicate = || sockets.duplicate(&wanted).map_err(|e| format!("{}: {e}", listener.address));
            accepting.push(Accepting { address: listener.address.clone(), pingoras: duplicate()?, ours: duplicate()? });
        }
        Ok(Self { inner, service: Arc::clone(service), gate: Arc::clone(gate), sockets: accepting })
    }
}

/// `downstream` gathers what is read and written; Pingora's own buffers would cost
/// each idle connection 64 KiB and hold back the first bytes of a slow response.
fn unbuffered(listener: ListenerConfig) -> ListenerConfig {
    listener.l4_buffer(L4BufferSettings::default().read(0).write(0))
}

/// What Pingora calls a listener: a socket's path, or the address.
fn pingoras_name(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => path.display().to_string(),
    }
}

#[async_trait]
impl Service for Gated {
    async fn start_service(&mut self, fds: Option<ListenFds>, _ends: ShutdownWatch, listeners_per_fd: usize) {
        self.gate.opened().await;
        let mut ours = Vec::new();
        for socket in self.sockets.drain(..) {
            if let Some(fds) = &fds {
                fds.lock().add(pingoras_name(&socket.address), socket.pingoras.into_raw_fd());
            }
            ours.push((socket.address, socket.ours));
        }
        self.inner.start_service(fds, self.gate.watch(), listeners_per_fd).await;
        for (address, socket) in ours {
            if let Err(e) = serve_backlog(&self.service, &self.gate, &address, socket) {
                log::warn!("closing the listener {}: {e}", address);
            }
        }
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}

/// The connections that the kernel had taken when Pingora stopped: closing the socket
/// would reset them. After a hand-over the newer process takes them as well, except where
/// it has no such listener.
fn serve_backlog(service: &Arc<HttpService>, gate: &Gate, address: &Address, socket: OwnedFd) -> io::Result<()> {
    for _ in 0..MOST_BACKLOG {
        let stream = match accept(address, &socket) {
            Ok(stream) => stream,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        };
        let (service, shutdown) = (Arc::clone(service), gate.watch());
        tokio::spawn(async move { service.process_new(Box::new(stream), &shutdown).await });
    }
    Ok(())
}

/// Without waiting.
fn accept(address: &Address, socket: &OwnedFd) -> io::Result<L4Stream> {
    match address {
        Address::Tcp(_) => {
            let (stream, peer) = TcpListener::from(socket.try_clone()?).accept()?;
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
            digest.peer_addr.set(Some(peer.into())).unwrap_or_default();
            let mut stream = L4Stream::from(tokio::net::TcpStream::from_std(stream)?);
            stream.set_socket_digest(digest);
            Ok(stream)
        }
        Address::Unix(_) => {
            let (stream, _) = UnixListener::from(socket.try_clone()?).accept()?;
            stream.set_nonblocking(true)?;
            Ok(L4Stream::from(tokio::net::UnixStream::from_std(stream)?))
        }
    }
}
