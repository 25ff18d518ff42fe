//! A connection to an upstream that requests share.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use pingora::{Error, ErrorType, Result};
use pingora_core::protocols::{Digest, SocketDigest};

use super::shared::{Shared, Stage};

/// Requests at the same time on one connection, if the server allows as many.
pub(super) const MOST_STREAMS: usize = 100;
/// After a silence of this length a connection has to show that it is alive when a request is sent.
const SILENCE: Duration = Duration::from_secs(10);

/// A connection that is kept open by whoever holds this.
#[derive(Debug)]
pub struct Connection {
    pub(super) requests: SendRequest<Bytes>,
    pub(super) shared: Arc<Shared>,
    pub(super) socket_digest: Arc<SocketDigest>,
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
        self.connection.shared.remove_stream();
    }
}

impl Connection {
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
