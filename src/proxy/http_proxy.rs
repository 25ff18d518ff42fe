//! Pingora's `HttpProxy` with a connector of our own. Pingora makes one only inside a service of
//! its own, and hands it out only to the handler of a custom protocol, so that a service is
//! started for the time of one connection.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pingora_core::apps::HttpServerOptions;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{Fds, ListenFds};
use pingora_core::services::Service;
use pingora_proxy::{HttpProxy, ProcessCustomSession, ProxyServiceBuilder};
use pingora_timeout::timeout;
use tokio::sync::oneshot;
use tokio::sync::watch;

use super::Proxy;
use crate::upstream::http1::Connector;

/// The proxy of a worker.
pub type OwnHttpProxy = HttpProxy<Proxy, Connector>;

/// How long the one connection may take.
const WAIT: Duration = Duration::from_secs(5);

/// # Errors
/// In words, when there is no loopback interface or no descriptor left.
pub fn with_connector(conf: &Arc<ServerConf>, proxy: Proxy) -> Result<Arc<OwnHttpProxy>, String> {
    let made = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let made = made.map_err(|e| e.to_string()).and_then(|runtime| runtime.block_on(make(conf, proxy)));
    made.map_err(|e| format!("Pingora's proxy cannot be made: {e}"))
}

async fn make(conf: &Arc<ServerConf>, proxy: Proxy) -> Result<Arc<OwnHttpProxy>, String> {
    let (listener, address) = loopback().map_err(|e| format!("no socket on the loopback interface: {e}"))?;
    let (sender, taken) = oneshot::channel();
    let connector = Connector::new(ConnectorOptions::from_server_conf(conf));
    let mut options = HttpServerOptions::default();
    options.force_custom = true;
    let mut service =
        ProxyServiceBuilder::new(conf, proxy).custom(connector, hand_out(sender)).server_options(options).build();
    service.add_tcp(&address.to_string());
    let mut descriptors = Fds::new();
    descriptors.add(address.to_string(), listener.into_raw_fd());
    let descriptors: ListenFds = Arc::new(descriptors.into());
    let (_keep, shutdown) = watch::channel(false);
    let serving = tokio::spawn(async move { service.start_service(Some(descriptors), shutdown, 1).await });
    let knock = TcpStream::connect_timeout(&address, WAIT).map_err(|e| format!("{address}: {e}"))?;
    let taken = timeout(WAIT, taken).await;
    drop(knock);
    // Pingora's own end would have the proxy close every connection.
    serving.abort();
    taken.ok().and_then(Result::ok).ok_or_else(|| format!("{address} took no connection"))
}

fn loopback() -> std::io::Result<(TcpListener, SocketAddr)> {
    let places: [SocketAddr; 2] = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
    let listener = TcpListener::bind(&places[..])?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
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
