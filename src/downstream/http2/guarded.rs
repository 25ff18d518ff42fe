//! The bytes of an HTTP/2 connection: those that come are watched, and those that go have a
//! deadline, for a client that reads nothing would hold the frames of all its streams.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::frame_watch::FrameWatch;
use crate::downstream::linger::{LINGER, linger};
use crate::exchange::{Overdue, Timer};
use crate::transport::Transport;

/// A client's connection and the watch over it.
#[derive(Debug)]
pub(super) struct Guarded {
    /// `None` only while it is dropped.
    transport: Option<Transport>,
    watch: SharedWatch,
    /// How long the client may take nothing.
    write_idle: Duration,
    stalled: Timer,
    is_stalled: bool,
}

/// The watch, as the driver of the connection sees it, too.
#[derive(Clone, Debug)]
pub(super) struct SharedWatch(Arc<Mutex<FrameWatch>>);

impl SharedWatch {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(FrameWatch::default())))
    }

    pub fn lock(&self) -> MutexGuard<'_, FrameWatch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guarded {
    pub fn new(transport: Transport, watch: SharedWatch, write_idle: Duration) -> Self {
        Self { transport: Some(transport), watch, write_idle, stalled: Timer::default(), is_stalled: false }
    }

    /// What came of writing: an error once nothing was taken for too long.
    fn check<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_stalled = false;
            return written;
        }
        if !std::mem::replace(&mut self.is_stalled, true) {
            self.stalled.set(self.write_idle);
        }
        ready!(self.stalled.poll(cx));
        Poll::Ready(Err(Overdue::Write.into()))
    }
}

impl Drop for Guarded {
    /// Reads what the client still sends: closing at once would destroy the end of the last response on
    /// its way.
    fn drop(&mut self) {
        let Some(transport) = self.transport.take() else { return };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(close(transport));
        }
    }
}

async fn close(mut transport: Transport) {
    let closing = async {
        transport.shutdown().await?;
        linger(&mut transport).await
    };
    if let Ok(Err(error)) = timeout(LINGER, closing).await {
        log::debug!("closing a client's HTTP/2 connection: {error}");
    }
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(transport) = &mut this.transport else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let before = buf.filled().len();
        let mut watch = this.watch.lock();
        if watch.verdict().is_none() {
            ready!(Pin::new(transport).poll_read(cx, buf))?;
            watch.note_read(&buf.filled()[before..]);
        }
        if watch.verdict().is_none() {
            return Poll::Ready(Ok(()));
        }
        // Nothing more is read; the driver, which sees the verdict, ends the connection.
        buf.set_filled(before);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(transport) = &mut this.transport else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let written = Pin::new(transport).poll_write(cx, bytes);
        if written.is_ready() {
            this.watch.lock().note_written();
        }
        this.check(written, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(transport) = &mut this.transport else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let written = Pin::new(transport).poll_write_vectored(cx, slices);
        if written.is_ready() {
            this.watch.lock().note_written();
        }
        this.check(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(transport) = &mut this.transport else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let flushed = Pin::new(transport).poll_flush(cx);
        this.check(flushed, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(transport) = &mut this.transport else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let shut = Pin::new(transport).poll_shutdown(cx);
        this.check(shut, cx)
    }
}
