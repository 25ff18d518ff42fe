//! The driver of HTTP/1: a client's connection as Pingora sees it, one request at a time,
//! none of the next one's bytes, and writes that leave together.
//!
//! Pingora flushes a response of known length only at its end, so what is written goes out
//! no later than when the connection is next asked for bytes, which Pingora does whenever
//! it waits for the upstream. Pingora has no deadline for a client that takes nothing and
//! looks at nothing else while it writes, so that the driver keeps the exchange's deadlines
//! on writes as it does on reads.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pingora_core::protocols::Stream;
use pingora_core::protocols::raw_connect::ProxyDigest;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::chunked::Scanner;
use super::input::{Input, READ};
use super::output::Output;
use super::request_head::{Framing, Head, escaped};
use super::response_head::{self, Kind};
use crate::downstream::connection::{Activity, ClientConnection, Initiator};
use crate::downstream::deadline::{Overdue, Pace};
use crate::downstream::exchange::Exchange;
use crate::downstream::registry::{Connections, Registration, TunnelsEnd};
use crate::downstream::timers::Timers;

/// What the client's next bytes are to Pingora.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NextBytes {
    /// This many bytes of the head, then the body.
    Head(usize, Framing),
    Body(Framing),
    /// The request is complete: what comes belongs to the next one.
    NextRequest,
    Tunnel,
}

/// What Pingora reads a request from and writes its response to.
#[derive(Debug)]
pub struct ClientStream {
    pub(super) inner: Stream,
    connection: Arc<ClientConnection>,
    pub(super) digest: Option<Arc<ProxyDigest>>,
    /// Counts the connection until it is dropped.
    registration: Registration,
    /// `None` until the exchange is a tunnel or an event stream and had to wait.
    tunnels_end: Option<TunnelsEnd>,
    /// Of the present request, or of the one before while there is none.
    pub(super) exchange: Arc<Exchange>,
    next_bytes: NextBytes,
    /// Whether the next write is a head.
    expects_head: bool,
    pub(super) input: Input,
    output: Output,
    pub(super) timers: Timers,
}

impl ClientStream {
    pub fn new(inner: Stream, initiator: Initiator, connections: &Arc<Connections>) -> Self {
        let address = inner.get_socket_digest().and_then(|digest| digest.peer_addr().cloned());
        let ip = address.and_then(|address| address.as_inet().map(|inet| inet.ip().to_canonical()));
        let connection = Arc::new(ClientConnection::new(ip, initiator, connections.closing()));
        Self {
            inner,
            digest: connection.digest(),
            registration: connections.register(Arc::clone(&connection)),
            connection,
            tunnels_end: None,
            exchange: Arc::default(),
            next_bytes: NextBytes::NextRequest,
            expects_head: true,
            input: Input::default(),
            output: Output::default(),
            timers: Timers::default(),
        }
    }

    pub fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// What has arrived and was not handed on.
    pub fn waiting(&self) -> &[u8] {
        self.input.waiting()
    }

    pub(super) fn set_activity(&self, activity: Activity) {
        self.connection.set_activity(activity);
    }

    /// Makes an exchange for the next request: the same one, unless somebody still holds
    /// that of the request before.
    pub(super) fn renew_exchange(&mut self, pace: Pace) {
        match Arc::get_mut(&mut self.exchange) {
            Some(exchange) => exchange.reset(),
            None => self.exchange = Arc::default(),
        }
        self.exchange.deadlines.set_pace(pace);
        self.tunnels_end = None;
        self.timers.renew();
        self.output.take_taken();
    }

    /// Hands the request that `waiting` starts with to whoever reads next.
    pub(super) fn begin_request(&mut self, head: Head) {
        let mut length = head.length;
        if head.escape {
            let escaped = escaped(&self.waiting()[..length]);
            self.input.replace(length, &escaped);
            length = escaped.len();
        }
        self.next_bytes = NextBytes::Head(length, head.body);
        self.expects_head = true;
        self.timers.restart_read();
        self.connection.begin_exchange(Arc::clone(&self.exchange));
    }

    /// Gives large buffers back while nothing is going on.
    pub(super) fn shrink(&mut self) {
        self.input.shrink();
        self.output.shrink();
    }

    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.inner, cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.poll_send(&mut self.inner, cx)
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>, most: usize) -> Poll<io::Result<usize>> {
        self.input.poll_hand_on(&mut self.inner, cx, out, most)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>, framing: Framing) -> Poll<io::Result<()>> {
        let has_room = !self.exchange.upload.is_full(cx);
        let before = out.filled().len();
        let read = match framing {
            Framing::Length(0) => return self.poll_next_request_bytes(cx),
            Framing::Chunked(scanner) if scanner.is_done() => return self.poll_next_request_bytes(cx),
            // The upstream expects no body either, and is not kept waiting for one.
            Framing::Length(_) | Framing::Chunked(_) if self.exchange.is_answered_without_body() => {
                self.exchange.continued();
                return Poll::Ready(Err(Overdue::RestOfBody.into()));
            }
            Framing::Length(_) | Framing::Chunked(_) if !has_room => Poll::Pending,
            Framing::Length(left) => self.poll_sized(cx, out, left),
            Framing::Chunked(scanner) => self.poll_chunked(cx, out, scanner),
        };
        if read.is_pending() {
            let overdue = self.timers.poll_request_body(&self.exchange, self.expects_head, has_room, cx);
            return overdue.map(|overdue| Err(overdue.into()));
        }
        self.timers.body_arrived(out.filled().len() - before);
        self.exchange.continued();
        read
    }

    fn poll_sized(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>, left: u64) -> Poll<io::Result<()>> {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let read = ready!(self.poll_bytes(cx, out, most))?;
        self.next_bytes = NextBytes::Body(Framing::Length(left - u64::try_from(read).unwrap_or(left)));
        Poll::Ready(Ok(()))
    }

    fn poll_chunked(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        mut scanner: Scanner,
    ) -> Poll<io::Result<()>> {
        if self.waiting().is_empty() && ready!(self.poll_fill(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        let piece = self.waiting();
        let piece = &piece[..piece.len().min(out.remaining())];
        let body = scanner.advance(piece).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        self.input.hand_on(out, body);
        self.next_bytes = NextBytes::Body(Framing::Chunked(scanner));
        Poll::Ready(Ok(()))
    }

    /// Ready only when the client has gone or the upstream took too long. What the client
    /// sends meanwhile is kept for the next request, up to a bound behind which the
    /// connection is not read.
    fn poll_next_request_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.next_bytes = NextBytes::NextRequest;
        while self.waiting().len() < READ {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(read) => read.map(drop)?,
                Poll::Pending => break,
            }
        }
        // What is missing of an event stream must not be taken for its end.
        if self.poll_tunnels_end(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.timers.poll_response(&self.exchange, self.expects_head, cx).map(|overdue| Err(overdue.into()))
    }

    fn poll_tunnel(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Each side sees the end of the tunnel as if the other side had closed it.
        if self.poll_tunnels_end(cx).is_ready() {
            Poll::Ready(Ok(()))
        } else {
            self.poll_bytes(cx, out, usize::MAX).map_ok(drop)
        }
    }

    /// Ready once tunnels and event streams have to end, if this is one.
    fn poll_tunnels_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.exchange.is_tunnel() {
            return Poll::Pending;
        }
        self.tunnels_end.get_or_insert_with(|| self.registration.tunnels_end()).poll(cx)
    }

    /// The client does not take what is written. Ready once it took too long; nothing more
    /// is written then, not even another reply.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self.output.take_taken() {
            0 => {}
            taken => self.timers.response_taken(taken),
        }
        let error = if self.poll_tunnels_end(cx).is_ready() {
            io::ErrorKind::ConnectionAborted.into()
        } else {
            ready!(self.timers.poll_write(&self.exchange, cx)).into()
        };
        self.output.give_up();
        Poll::Ready(error)
    }

    /// Applies the deadlines of writing to the result of a write.
    fn within_deadlines<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.poll_stalled(cx).map(Err),
            Poll::Ready(written) => {
                self.timers.restart_write();
                Poll::Ready(written)
            }
        }
    }

    /// Everything that was written is sent, or the client took too long.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.check()?;
        let sent = self.poll_send(cx);
        self.within_deadlines(cx, sent)
    }

    fn write_head(&mut self, head: &[u8]) {
        let kind = response_head::kind(head);
        if kind == Kind::Interim {
            self.exchange.continued();
            self.output.gathered.extend_from_slice(head);
            return;
        }
        self.expects_head = false;
        if kind == Kind::Switching {
            self.next_bytes = NextBytes::Tunnel;
        }
        if self.exchange.is_tunnel() {
            self.set_activity(Activity::Tunnel);
        }
        match self.exchange.date() {
            Some(date) => response_head::write_with_date(&mut self.output.gathered, head, date),
            None => self.output.gathered.extend_from_slice(head),
        }
    }

    /// Whether bytes of the present request or of its tunnel may still come. Pingora may then
    /// wait without asking for them, so that what is written has to leave at once.
    fn client_may_still_send(&self) -> bool {
        !matches!(
            self.next_bytes,
            NextBytes::NextRequest | NextBytes::Body(Framing::Length(0)) | NextBytes::Head(_, Framing::Length(0))
        )
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // A client that does not take the response must not keep us from reading.
        let sent = this.poll_send(cx);
        match sent {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => this.timers.restart_write(),
            Poll::Pending => {}
        }
        let read = match this.next_bytes {
            NextBytes::Head(left, body) => {
                let left = left - this.input.hand_on(out, left);
                this.next_bytes = if left == 0 { NextBytes::Body(body) } else { NextBytes::Head(left, body) };
                Poll::Ready(Ok(()))
            }
            NextBytes::Body(framing) => this.poll_body(cx, out, framing),
            NextBytes::NextRequest => this.poll_next_request_bytes(cx),
            NextBytes::Tunnel => this.poll_tunnel(cx, out),
        };
        match read {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending if sent.is_pending() => this.poll_stalled(cx).map(Err),
            Poll::Pending => this.timers.poll_request(&this.exchange, cx).map(|overdue| Err(overdue.into())),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.output.check()?;
        self.timers.restart_read();
        self.exchange.upload.restart_clock();
        if self.expects_head {
            self.write_head(bytes);
        } else if self.output.is_full_with(bytes.len()) || self.client_may_still_send() {
            let this = &mut *self;
            let written = this.output.poll_write_through(&mut this.inner, cx, bytes);
            return self.within_deadlines(cx, written);
        } else {
            self.output.gathered.extend_from_slice(bytes);
        }
        if self.client_may_still_send()
            && let Poll::Ready(sent) = self.poll_send(cx)
        {
            self.timers.restart_write();
            sent?;
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Drop for ClientStream {
    /// A response that broke off: the client shall see as much of it as there was.
    fn drop(&mut self) {
        if let Poll::Ready(Err(error)) = self.poll_send(&mut Context::from_waker(Waker::noop())) {
            log::debug!("the last bytes of a response were not taken: {error}");
        }
    }
}
