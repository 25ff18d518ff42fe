//! A connection to an upstream that requests share.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h2::client::{Builder, SendRequest};
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::{Digest, SocketDigest};
use tokio::sync::watch;

use super::driver::{Driver, Watched};
use super::fault::failed;
use super::pool::{Dialing, Lease};
use super::response_head::MOST_BYTES;
use crate::transport::Transport;

/// Requests at the same time on one connection, if the server allows as many.
pub(super) const MOST_STREAMS: usize = 100;
/// What a server may send of one response that nobody has read yet. It is what a client that reads
/// nothing makes this process hold.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Enough for that of every stream: one that stalls takes nothing from the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MOST_STREAMS as u32;
/// What is held of one request that the connection has not taken yet.
const SEND_BUFFER: usize = 64 * 1024;
/// After a silence of this length a connection has to show that it is alive when a request is sent.
const SILENCE: Duration = Duration::from_secs(10);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server's settings are not known: it is given one request.
    New,
    Open,
    /// It takes no requests any more.
    Closed,
}

/// What the connection, its driver and the requests on it share.
#[derive(Debug)]
pub(super) struct Shared {
    born: Instant,
    pub streams: AtomicUsize,
    /// When the last request ended, and when something was last read, in milliseconds from `born` on.
    idle_since: AtomicU64,
    read_at: AtomicU64,
    /// The driver is to ask whether the server is there.
    pub ping_wanted: AtomicBool,
    pub driver: AtomicWaker,
    pub stage: watch::Sender<Stage>,
}

impl Shared {
    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn note_read(&self) {
        self.read_at.store(self.now(), Ordering::Relaxed);
    }

    pub fn read_at(&self) -> Instant {
        self.born + Duration::from_millis(self.read_at.load(Ordering::Relaxed))
    }

    /// Since when no request is under way; `None` while one is.
    pub fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.streams.load(Ordering::Relaxed) == 0;
        is_idle.then(|| self.born + Duration::from_millis(self.idle_since.load(Ordering::Relaxed)))
    }
}

/// A connection that is kept open by whoever holds this.
#[derive(Debug)]
pub struct Connection {
    pub(super) requests: SendRequest<Bytes>,
    pub(super) shared: Arc<Shared>,
    socket_digest: Arc<SocketDigest>,
    pub(super) socket: RawFd,
    pub(super) is_secure: bool,
}

/// The place of one request on a connection.
#[derive(Debug)]
pub struct Slot {
    pub(super) connection: Arc<Connection>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let shared = &self.connection.shared;
        shared.idle_since.store(shared.now(), Ordering::Relaxed);
        if shared.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            shared.driver.wake();
        }
    }
}

impl Connection {
    /// Begins HTTP/2 on a new transport; its driver is a task of its own, on this runtime. `dialing`
    /// ends once other requests may come. `idle_timeout`: how long it waits for another one.
    ///
    /// # Errors
    /// When the transport fails.
    pub async fn begin(
        transport: Transport,
        lease: Option<Lease>,
        dialing: Option<Dialing>,
        idle_timeout: Option<Duration>,
    ) -> Result<Arc<Self>> {
        let (socket, is_secure) = (transport.socket().as_raw_fd(), transport.tls().is_some());
        let shared = Arc::new(Shared {
            born: Instant::now(),
            streams: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            read_at: AtomicU64::new(0),
            ping_wanted: AtomicBool::new(false),
            driver: AtomicWaker::new(),
            stage: watch::channel(Stage::New).0,
        });
        let watched = Watched { transport, shared: Arc::clone(&shared) };
        let (requests, mut connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            // Somewhat larger ones are told apart from malformed ones.
            .max_header_list_size(MOST_BYTES as u32 * 2)
            .enable_push(false)
            .handshake(watched)
            .await
            .map_err(failed)?;
        let socket_digest = Arc::new(SocketDigest::from_raw_fd(socket));
        let Some(ping) = connection.ping_pong() else {
            return Error::e_explain(ErrorType::InternalError, "HTTP/2 without PING");
        };
        let driver = Driver::new(connection, ping, Arc::clone(&shared), lease, dialing, idle_timeout);
        // The digest lives as long as the socket does.
        let digest = Arc::clone(&socket_digest);
        tokio::spawn(async move {
            driver.await;
            drop(digest);
        });
        Ok(Arc::new(Self { requests, shared, socket_digest, socket, is_secure }))
    }

    /// A place for another request; `None` where there is no room.
    pub fn slot(self: &Arc<Self>) -> Option<Slot> {
        let most = match *self.shared.stage.borrow() {
            Stage::New => 1,
            Stage::Open => self.requests.current_max_send_streams().min(MOST_STREAMS),
            Stage::Closed => 0,
        };
        let streams = &self.shared.streams;
        let taken = streams.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1));
        let is_first = taken.ok()? == 0;
        let slot = Slot { connection: Arc::clone(self) };
        // An idle connection is checked by the next request on it.
        if self.shared.read_at().elapsed() > SILENCE {
            self.shared.ping_wanted.store(true, Ordering::Relaxed);
            self.shared.driver.wake();
        } else if is_first {
            self.shared.driver.wake();
        }
        Some(slot)
    }

    /// Whether the server takes further requests: it has neither closed the connection nor said that
    /// it will (GOAWAY).
    pub fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        *self.shared.stage.borrow() != Stage::Closed
            && !matches!(self.requests.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Waits for the server's settings.
    ///
    /// # Errors
    /// When the connection ends before.
    pub async fn settled(&self) -> Result<()> {
        let mut stage = self.shared.stage.subscribe();
        let reached = stage.wait_for(|stage| *stage != Stage::New).await.map(|stage| *stage);
        if matches!(reached, Ok(Stage::Open)) {
            return Ok(());
        }
        Error::e_explain(ErrorType::ConnectionClosed, "before the server's settings")
    }

    pub fn digest(&self) -> Digest {
        Digest {
            // Nobody here asks for these.
            ssl_digest: None,
            timing_digest: Vec::new(),
            proxy_digest: None,
            socket_digest: Some(Arc::clone(&self.socket_digest)),
        }
    }
}
