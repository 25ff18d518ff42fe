//! Pingora's listening service behind an [`AcceptGate`]: it accepts nothing before the gate
//! is opened, stops when the gate says so rather than when the server ends, and serves the
//! connections that the kernel has already accepted.

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

use super::accept_gate::AcceptGate;
use super::sockets::{SocketUse, Sockets};
use crate::config::{Address, Listener};
use crate::proxy::HttpService;

/// The connections of a backlog that are served: with more, new ones keep coming.
const MAX_BACKLOG: usize = 4096;

/// [`HttpService`] as Pingora takes it, while the probe and the backlog use it too.
struct HttpServiceApp(Arc<HttpService>);

#[async_trait]
impl ServerApp for HttpServiceApp {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        self.0.process_new(stream, shutdown).await
    }
}

/// The socket of one listener, twice: Pingora closes the one that it is given.
struct ListenerSocket {
    address: Address,
    for_pingora: OwnedFd,
    ours: OwnedFd,
}

pub struct ListeningProxy {
    inner: ListeningService<HttpServiceApp>,
    service: Arc<HttpService>,
    gate: Arc<AcceptGate>,
    sockets: Vec<ListenerSocket>,
}

impl ListeningProxy {
    /// # Errors
    /// In words, when a socket's path is not UTF-8, which Pingora cannot take, or the
    /// process has no descriptors left.
    pub fn new(
        service: &Arc<HttpService>,
        gate: &Arc<AcceptGate>,
        listeners: &[Listener],
        sockets: &Sockets,
    ) -> Result<Self, String> {
        let mut inner = ListeningService::new("proxy".to_owned(), HttpServiceApp(Arc::clone(service)));
        let mut accepting = Vec::new();
        for listener in listeners {
            inner.add_listener(unbuffered(match &listener.address {
                Address::Tcp(address) => ListenerConfig::tcp(address.to_string()),
                Address::Unix(path) => {
                    ListenerConfig::uds(path.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))?)
                }
            }));
            let wanted = SocketUse::Listener(listener.address.clone());
            let duplicate = || sockets.duplicate(&wanted).map_err(|e| format!("{}: {e}", listener.address));
            accepting.push(ListenerSocket {
                address: listener.address.clone(),
                for_pingora: duplicate()?,
                ours: duplicate()?,
            });
        }
        Ok(Self { inner, service: Arc::clone(service), gate: Arc::clone(gate), sockets: accepting })
    }
}

/// `downstream` gathers what is read and written; Pingora's own buffers would cost each idle
/// connection 64 KiB and hold back the first bytes of a slow response.
fn unbuffered(listener: ListenerConfig) -> ListenerConfig {
    listener.l4_buffer(L4BufferSettings::default().read(0).write(0))
}

/// The name of a listener in Pingora: the path of a unix socket, or the address.
fn name_in_pingora(address: &Address) -> String {
    match address {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => path.display().to_string(),
    }
}

#[async_trait]
impl Service for ListeningProxy {
    async fn start_service(&mut self, fds: Option<ListenFds>, _ends: ShutdownWatch, listeners_per_fd: usize) {
        self.gate.opened().await;
        let mut ours = Vec::new();
        for socket in self.sockets.drain(..) {
            if let Some(fds) = &fds {
                fds.lock().add(name_in_pingora(&socket.address), socket.for_pingora.into_raw_fd());
            }
            ours.push((socket.address, socket.ours));
        }
        self.inner.start_service(fds, self.gate.watch(), listeners_per_fd).await;
        for (address, socket) in ours {
            if let Err(e) = serve_backlog(&self.service, &self.gate, &address, socket) {
                log::warn!("closing the listener {address}: {e}");
            }
        }
    }

    fn name(&self) -> &str {
        self.inner.name()
    }
}

/// Serves the connections that the kernel had accepted when Pingora stopped: closing the
/// socket would reset them. After a hand-over the newer process takes them as well, except
/// where it has no such listener.
fn serve_backlog(service: &Arc<HttpService>, gate: &AcceptGate, address: &Address, socket: OwnedFd) -> io::Result<()> {
    for _ in 0..MAX_BACKLOG {
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

/// Accepts a connection without waiting.
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
