//! Pingora's `HttpProxy` with a connector of our own. Pingora makes one only inside a service of
//! its own, and hands it out only to the handler of a custom protocol, so that a service is
//! started for the time of one connection.

use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pingora_core::apps::HttpServerOptions;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::listeners::ServerAddress;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{Fds, ListenFds};
use pingora_core::services::Service;
use pingora_proxy::{HttpProxy, ProcessCustomSession, ProxyServiceBuilder};
use pingora_timeout::timeout;
use tokio::sync::{oneshot, watch};

use super::Proxy;
use crate::upstream::Connector;

/// The proxy of a worker.
pub type OwnHttpProxy = HttpProxy<Proxy, Connector>;

/// How long the one connection may take.
const WAIT: Duration = Duration::from_secs(5);

/// # Errors
/// In words, when there is neither a loopback interface nor a folder for a unix socket.
pub fn with_connector(conf: &Arc<ServerConf>, proxy: Proxy) -> Result<Arc<OwnHttpProxy>, String> {
    // A process in a network of its own may have no interface that is up.
    let door = Door::tcp().or_else(|tcp| {
        Door::unix().map_err(|unix| format!("no connection on the loopback interface ({tcp}) or in a folder ({unix})"))
    });
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string());
    let made = door.and_then(|door| runtime()?.block_on(make(conf, proxy, door)));
    let mut made = made.map_err(|e| format!("Pingora's proxy cannot be made: {e}"))?;
    // The service is gone, and nobody else has the proxy.
    if let Some(proxy) = Arc::get_mut(&mut made) {
        proxy.server_options = None;
    }
    Ok(made)
}

async fn make(conf: &Arc<ServerConf>, proxy: Proxy, door: Door) -> Result<Arc<OwnHttpProxy>, String> {
    let (sender, taken) = oneshot::channel();
    let connector = Connector::new(ConnectorOptions::from_server_conf(conf).keepalive_pool_size);
    let mut options = HttpServerOptions::default();
    options.force_custom = true;
    let mut service =
        ProxyServiceBuilder::new(conf, proxy).custom(connector, hand_out(sender)).server_options(options).build();
    let mut descriptors = Fds::new();
    descriptors.add(door.address.as_ref().to_owned(), door.listener.into_raw_fd());
    service.add_address(door.address.clone());
    let descriptors: ListenFds = Arc::new(descriptors.into());
    let (_keep, shutdown) = watch::channel(false);
    let serving = tokio::spawn(async move { service.start_service(Some(descriptors), shutdown, 1).await });
    let taken = timeout(WAIT, taken).await;
    drop(door.client);
    if let ServerAddress::Uds(path, _) = &door.address
        && let Err(e) = std::fs::remove_file(path)
    {
        log::debug!("{path}: {e}");
    }
    // Pingora's own end would have the proxy close every connection.
    serving.abort();
    taken.ok().and_then(Result::ok).ok_or_else(|| format!("{} took no connection", door.address.as_ref()))
}

/// A socket of the service, on which one connection waits.
struct Door {
    address: ServerAddress,
    listener: OwnedFd,
    client: OwnedFd,
}

impl Door {
    fn tcp() -> io::Result<Self> {
        let places: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        let listener = TcpListener::bind(&places[..])?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let client = TcpStream::connect_timeout(&address, WAIT)?.into();
        Ok(Self { address: ServerAddress::Tcp(address.to_string(), None), listener: listener.into(), client })
    }

    /// For the user of this process only, and for a moment.
    fn unix() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pingora-proxy.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let listener = UnixListener::bind(&path)?;
        listener.set_nonblocking(true)?;
        let client = UnixStream::connect(&path)?.into();
        let place = path.to_string_lossy().into_owned();
        let address = ServerAddress::Uds(place, Some(Permissions::from_mode(0o600)));
        Ok(Self { address, listener: listener.into(), client })
    }
}

/// Sends the proxy to who waits for it, once.
fn hand_out(sender: oneshot::Sender<Arc<OwnHttpProxy>>) -> ProcessCustomSession<Proxy, Connector> {
    let sender = Mutex::new(Some(sender));
    Arc::new(move |proxy, _stream, _shutdown| {
        let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(_)) = sender.map(|sender| sender.send(proxy)) {
            log::debug!("nobody waits for Pingora's proxy any more");
        }
        Box::pin(std::future::ready(None))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::runtime::{Live, Snapshot};

    #[test]
    fn a_proxy_comes_through_either_door() {
        let text = "listeners: ['127.0.0.1:1']\nroutes: [{ respond: { status: 204 } }]\n";
        let (config, _) = config::parse("test.yaml", text, &|_| None).unwrap();
        let live = Arc::new(Live::new(Snapshot::compile_unserved(&config, None).unwrap()));
        let conf = Arc::new(ServerConf::default());
        for door in [Door::tcp().unwrap(), Door::unix().unwrap()] {
            let file = std::path::PathBuf::from(door.address.as_ref());
            let proxy = Proxy { live: Arc::clone(&live), mirrors: Arc::default(), asking: Connector::new(1) };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let made = runtime.block_on(make(&conf, proxy, door)).unwrap();
            drop(runtime);
            assert_eq!((Arc::strong_count(&made), file.exists()), (1, false));
        }
    }
}
