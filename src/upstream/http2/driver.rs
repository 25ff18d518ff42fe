//! What keeps a connection going: it reads and writes for all requests on it, asks whether the server
//! is still there, and lets go of a connection that nobody needs.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::pool::{Dialing, Lease};
use super::shared::{Shared, Stage};
use crate::exchange::Timer;
use crate::http2::FrameReader;
use crate::transport::Transport;

/// How long the server has for the answer to a PING.
const PONG: Duration = Duration::from_secs(10);
/// Requests under way get a PING after a silence of this length. Servers of gRPC close connections
/// that are asked more often while nothing is sent.
const LONG_SILENCE: Duration = Duration::from_secs(310);

/// A transport that notes when something was read, and which responses have come whole.
#[derive(Debug)]
pub(super) struct Watched {
    transport: Transport,
    shared: Arc<Shared>,
    frames: FrameReader,
}

impl Watched {
    pub fn new(transport: Transport, shared: Arc<Shared>) -> Self {
        Self { transport, shared, frames: FrameReader::of_server() }
    }
}

/// Ready once the connection has ended.
pub(super) struct Driver {
    connection: h2::client::Connection<Watched, Bytes>,
    ping: PingPong,
    shared: Arc<Shared>,
    /// Where the connection is kept; `None` once it is not.
    lease: Option<Lease>,
    dialing: Option<Dialing>,
    idle_timeout: Option<Duration>,
    /// When the PING was sent that has no answer yet.
    asked: Option<Instant>,
    pong: Timer,
    idle: Timer,
    silence: Timer,
}

impl Driver {
    pub fn new(
        connection: h2::client::Connection<Watched, Bytes>,
        ping: PingPong,
        shared: Arc<Shared>,
        lease: Option<Lease>,
        dialing: Option<Dialing>,
        idle_timeout: Option<Duration>,
    ) -> Self {
        // The first answer comes behind the server's settings.
        shared.ping_wanted.store(true, Ordering::Relaxed);
        let (pong, idle, silence) = Default::default();
        Self { connection, ping, shared, lease, dialing, idle_timeout, asked: None, pong, idle, silence }
    }

    /// Ready when the server has not answered in time.
    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.asked.is_some()
            && let Poll::Ready(Ok(_)) = self.ping.poll_pong(cx)
        {
            self.asked = None;
            self.open();
        }
        if self.asked.is_none() && self.is_ping_due(cx) && self.ping.send_ping(Ping::opaque()).is_ok() {
            self.asked = Some(Instant::now());
            self.pong.set(PONG);
            // Has the answer wake this task.
            if let Poll::Ready(Ok(_)) = self.ping.poll_pong(cx) {
                self.asked = None;
            }
        }
        while let Some(asked) = self.asked {
            if self.pong.poll(cx).is_pending() {
                return Poll::Pending;
            }
            // What it sends comes before its answer.
            let heard = self.shared.read_at();
            if heard <= asked || heard.elapsed() >= PONG {
                return Poll::Ready(());
            }
            self.pong.set_to(heard + PONG);
        }
        Poll::Pending
    }

    fn is_ping_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.shared.ping_wanted.swap(false, Ordering::Relaxed) {
            return true;
        }
        if self.shared.idle_since().is_some() {
            return false;
        }
        let due = self.shared.read_at() + LONG_SILENCE;
        self.silence.set_to(due);
        self.silence.poll(cx).is_ready()
    }

    /// The server's settings are known.
    fn open(&mut self) {
        self.shared.stage.send_if_modified(|stage| {
            let is_new = *stage == Stage::New;
            *stage = if is_new { Stage::Open } else { *stage };
            is_new
        });
        if let Some(dialing) = self.dialing.take() {
            dialing.succeeded();
        }
    }

    /// Lets go of a connection that has waited for long enough: it ends with a GOAWAY of ours.
    fn poll_idle(&mut self, cx: &mut Context<'_>) {
        let (Some(since), Some(timeout)) = (self.shared.idle_since(), self.idle_timeout) else { return };
        if self.lease.is_none() {
            return;
        }
        self.idle.set_to(since + timeout);
        if self.idle.poll(cx).is_ready() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.shared.stage.send_replace(Stage::Closed);
        self.lease = None;
        self.dialing = None;
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.shared.driver.register(cx.waker());
        if this.poll_ping(cx).is_ready() {
            log::debug!("an HTTP/2 connection to an upstream is given up: no answer to a PING");
            this.end();
            return Poll::Ready(());
        }
        this.poll_idle(cx);
        let ended = match Pin::new(&mut this.connection).poll(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(ended) => ended,
        };
        if let Err(error) = ended {
            log::debug!("an HTTP/2 connection to an upstream ended: {error}");
        }
        this.end();
        Poll::Ready(())
    }
}

impl AsyncRead for Watched {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { transport, shared, frames } = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(transport).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = read {
            shared.note_read();
            frames.read(&buf.filled()[before..], |event| shared.note_frame(event));
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}
