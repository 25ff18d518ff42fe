//! The driver of a client's connection: what is read from it and written to it in one
//! exchange, within the exchange's deadlines. Nothing waits for a client to take a response
//! before its end: whoever waits for something else of the client sends what is left of it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use pingora_core::protocols::Digest;
use tokio::io::AsyncWrite;

use super::request_head::Head;
use crate::downstream::connection::{Activity, ClientConnection, Remote, RequestSource};
use crate::downstream::registry::Connections;
use crate::downstream::waits::Waits;
use crate::exchange::{Overdue, Pace};
use crate::http1::{IncomingBody, Input, Output};
use crate::transport::Transport;

/// A connection from its first request to its last.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Transport,
    client: Arc<ClientConnection>,
    source: Arc<RequestSource>,
    digest: Digest,
    pub(super) waits: Waits,
    /// What is to come of the present request's body.
    pub(super) body: IncomingBody,
    /// The exchange has become a tunnel.
    pub(super) is_tunnel: bool,
    /// Pieces of the response that came since the exchange was last told.
    arrived: usize,
    /// Our direction ends once everything is sent.
    ends_output: bool,
    /// Some of the request's body was not read, and is not wanted.
    leaves_unread: bool,
    goes_on: bool,
    /// The client sends nothing more, but may wait for its response.
    pub(super) half_closed: bool,
    pub(super) input: Input,
    pub(super) output: Output,
}

impl Connection {
    pub fn new(stream: Transport, remote: Remote, connections: &Arc<Connections>) -> Self {
        let client = Arc::new(ClientConnection::new(remote, connections.process_end()).through(&stream));
        let source = RequestSource::new(Arc::clone(&client));
        Self {
            digest: source.digest(),
            stream,
            source,
            waits: Waits::new(Arc::default(), Arc::new(connections.register(Arc::clone(&client)))),
            client,
            body: IncomingBody::Done,
            is_tunnel: false,
            arrived: 0,
            ends_output: false,
            leaves_unread: false,
            goes_on: true,
            half_closed: false,
            input: Input::default(),
            output: Output::default(),
        }
    }

    pub fn client(&self) -> &ClientConnection {
        &self.client
    }

    /// What has arrived and was not handed on.
    pub fn waiting(&self) -> &[u8] {
        self.input.waiting()
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    pub(super) fn digest_mut(&mut self) -> &mut Digest {
        &mut self.digest
    }

    pub(super) fn set_activity(&self, activity: Activity) {
        self.client.set_activity(activity);
    }

    /// Makes an exchange for the next request: the same one, unless somebody still holds
    /// that of the request before.
    pub(super) fn renew_exchange(&mut self, pace: Pace) {
        self.waits.renew(pace);
        self.is_tunnel = false;
        self.output.take_taken();
    }

    /// The request that `waiting` starts with begins.
    pub(super) fn begin_request(&mut self, head: &Head) {
        self.input.skip(head.length);
        self.body = head.body.body();
        self.waits.expects_head = true;
        self.waits.timers.restart_read();
        self.source.begin_exchange(Arc::clone(&self.waits.exchange));
    }

    /// The final response begins. `switches`: to another protocol.
    pub(super) fn begin_response(&mut self, switches: bool) {
        self.waits.expects_head = false;
        self.is_tunnel = switches;
        if switches {
            self.body = IncomingBody::ToEnd;
        }
        if self.waits.exchange.is_tunnel() {
            self.set_activity(Activity::Tunnel);
        }
    }

    /// Whether the connection ends after a response that begins now.
    pub(super) fn closes_after_response(&self) -> bool {
        self.client.closes_after_response() || self.waits.exchange.closes_connection()
    }

    /// The response was written whole. `goes_on`: whether another request may follow.
    pub(super) fn end_exchange(&mut self, goes_on: bool) {
        self.goes_on = goes_on && !self.leaves_unread;
    }

    /// Whether another request may follow the response that was written.
    pub fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// Gives large buffers back while nothing is going on.
    pub(super) fn shrink(&mut self) {
        self.input.shrink();
        self.output.shrink();
    }

    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.poll_fill(&mut self.stream, cx)
    }

    /// The next piece of the request's body, or of a tunnel; `None` at its end.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.poll_reading(cx, Self::poll_piece)
    }

    /// Ready only when the client has gone or somebody took too long.
    pub(super) fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        self.poll_reading(cx, Self::poll_unread_bytes)
    }

    /// Sends what is left of the response meanwhile.
    fn poll_reading<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll_read: impl FnOnce(&mut Self, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let sent = self.poll_output(cx);
        if let Poll::Ready(Err(error)) = sent {
            return Poll::Ready(Err(error));
        }
        match poll_read(self, cx) {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending if sent.is_pending() => self.poll_stalled(cx).map(Err),
            Poll::Pending => self.waits.poll_request(cx).map(Err),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        match self.body {
            IncomingBody::Done => return Poll::Ready(Ok(None)),
            IncomingBody::ToEnd => return self.poll_tunnel(cx),
            IncomingBody::Sized(_) | IncomingBody::Chunked(_) => {}
        }
        // The upstream expects no body either, and is not kept waiting for one.
        if self.waits.exchange.is_answered_without_body() {
            self.waits.exchange.continued();
            return Poll::Ready(Err(Overdue::RestOfBody.into()));
        }
        let has_room = self.waits.upload_has_room(cx);
        if !has_room && self.waits.is_upload_unwanted() {
            self.leaves_unread = true;
            self.body = IncomingBody::Done;
            return Poll::Ready(Ok(None));
        }
        let read = if has_room { self.poll_client(cx) } else { Poll::Pending };
        match read {
            Poll::Ready(read) => Poll::Ready(self.waits.body_read(read)),
            Poll::Pending => self.waits.poll_request_body(has_room, cx).map(Err),
        }
    }

    /// What the client sends of its body or into its tunnel.
    pub(super) fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let piece = ready!(self.body.poll_read(&mut self.input, &mut self.stream, cx))?;
        self.waits.timers.body_arrived(piece.as_ref().map_or(0, Bytes::len));
        Poll::Ready(Ok(piece))
    }

    /// Everything that was written is sent, or the client took too long.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.check()?;
        self.waits.timers.restart_read();
        match self.poll_output(cx) {
            Poll::Pending => self.poll_stalled(cx).map(Err),
            Poll::Ready(sent) => Poll::Ready(sent),
        }
    }

    /// Sends what the client takes at once; whoever reads from it next sends the rest.
    ///
    /// # Errors
    /// When the client is gone.
    pub(super) fn send_some(&mut self) -> io::Result<()> {
        self.output.check()?;
        self.waits.timers.restart_read();
        match self.poll_output(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    /// So many pieces of the response have come, and are written before anything is sent.
    pub(super) fn pieces_arrived(&mut self, count: usize) {
        self.arrived += count;
    }

    /// Ends our direction once everything is sent.
    pub(super) fn end_output(&mut self) {
        self.ends_output = true;
    }

    /// Ready once everything that was written is sent.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.output.poll_send(&mut self.stream, cx);
        let arrived = std::mem::take(&mut self.arrived);
        self.waits.exchange.download.set_waiting(self.output.waiting(), arrived);
        ready!(sent)?;
        self.waits.timers.restart_write();
        if self.ends_output {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.ends_output = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends what was written and closes our direction.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// The client does not take what is written. Ready once it took too long; nothing more
    /// is written then, not even another reply.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let error = ready!(self.waits.poll_stalled(self.output.take_taken(), cx));
        self.output.give_up();
        Poll::Ready(error)
    }
}

impl Drop for Connection {
    /// A response that broke off: the client shall see as much of it as there was.
    fn drop(&mut self) {
        if let Poll::Ready(Err(error)) =
            self.output.poll_send(&mut self.stream, &mut Context::from_waker(Waker::noop()))
        {
            log::debug!("the last bytes of a response were not taken: {error}");
        }
    }
}
