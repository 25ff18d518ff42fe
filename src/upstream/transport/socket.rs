//! A socket that is connected to a server.

use std::net::SocketAddr;
use std::path::Path;

use pingora::Result;
use tokio::net::{TcpStream, UnixStream};

use super::failure::connect_failed;

/// What is sent leaves at once: heads and bodies are gathered before.
pub(super) async fn connect_tcp(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.map_err(|e| connect_failed(e, address))?;
    stream.set_nodelay(true).map_err(|e| connect_failed(e, address))?;
    Ok(stream)
}

pub(super) async fn connect_unix(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).await.map_err(|e| connect_failed(e, path.display()))
}
