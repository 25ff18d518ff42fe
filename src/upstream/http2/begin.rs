//! How HTTP/2 begins on a new transport.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use h2::client::Builder;
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::SocketDigest;

use super::connection::{Connection, MOST_STREAMS};
use super::driver::{Driver, Watched};
use super::fault::failed;
use super::pool::{Dialing, Lease};
use super::shared::Shared;
use crate::metrics::ConnectionMark;
use crate::transport::Transport;

/// What a server may send of one response that nobody has read yet. It is what a client that reads
/// nothing makes this process hold.
const STREAM_WINDOW: u32 = 96 * 1024;
/// Enough for that of every stream: one that stalls takes nothing from the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS as u32;
/// What is held of one request that the connection has not taken yet.
const SEND_BUFFER: usize = 64 * 1024;
/// The most that is decoded of a head, in bytes: twice what `limits.response_headers` may be, so that
/// somewhat larger ones are told apart from malformed ones.
const MOST_HEAD: u32 = 2 << 20;

/// Begins HTTP/2 on a new transport; its driver is a task of its own, on this runtime. `dialing`
/// ends once other requests may come. `idle_timeout`: how long it waits for another one. `mark` counts it.
///
/// # Errors
/// When the transport fails.
pub async fn begin(
    transport: Transport,
    lease: Option<Lease>,
    dialing: Option<Dialing>,
    idle_timeout: Option<Duration>,
    mark: Option<ConnectionMark>,
) -> Result<Arc<Connection>> {
    let (socket, is_secure) = (transport.socket().as_raw_fd(), transport.tls().is_some());
    let shared = Arc::new(Shared::new());
    let watched = Watched::new(transport, Arc::clone(&shared));
    let (requests, mut connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(MOST_HEAD)
        .enable_push(false)
        .handshake(watched)
        .await
        .map_err(failed)?;
    let socket_digest = Arc::new(SocketDigest::from_raw_fd(socket));
    let Some(ping) = connection.ping_pong() else {
        return Error::e_explain(ErrorType::InternalError, "HTTP/2 without PING");
    };
    let driver = Driver::new(connection, ping, Arc::clone(&shared), lease, dialing, idle_timeout);
    // The digest and the mark live as long as the socket does.
    let digest = Arc::clone(&socket_digest);
    tokio::spawn(async move {
        driver.await;
        drop((digest, mark));
    });
    Ok(Arc::new(Connection { requests, shared, socket_digest, socket, is_secure }))
}
