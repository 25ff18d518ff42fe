//! One exchange on a stream of HTTP/2.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, StatusCode};
use pingora_core::protocols::Digest;
use pingora_http::{RequestHeader, ResponseHeader};

use super::output::{Output, lost};
use super::request_head::Head;
use super::response_head;
use super::seat::Taken;
use super::unread_body;
use crate::downstream::driver::{Driver, Unfinished};
use crate::exchange::{Exchange, Overdue};
use crate::http1::OutgoingBody;

/// A request that came on a stream, and the response to it.
#[derive(Debug)]
pub struct StreamDriver {
    request: Box<RequestHeader>,
    /// The status of the last head that was written.
    response: Option<Box<ResponseHeader>>,
    seat: Taken,
    /// `None` once the stream has ended.
    body: Option<RecvStream>,
    /// Nothing is to come of the request's body.
    is_read: bool,
    output: Output,
    written: Written,
    asks_for_upgrade: bool,
    is_tunnel: bool,
    /// Pieces of the response that came since the exchange was last told.
    arrived: usize,
}

/// What is still to be written of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Nothing,
    /// The head, and the body up to this much, where its length is known.
    Head {
        left: Option<u64>,
    },
    Whole,
}

impl StreamDriver {
    pub(super) fn new(head: Head, body: RecvStream, respond: SendResponse<Bytes>, seat: Taken) -> Self {
        seat.begin_exchange();
        Self {
            is_read: body.is_end_stream() || head.asks_for_upgrade,
            request: head.request,
            response: None,
            seat,
            body: Some(body),
            output: Output::new(respond),
            written: Written::Nothing,
            asks_for_upgrade: head.asks_for_upgrade,
            is_tunnel: false,
            arrived: 0,
        }
    }

    /// Whether the final response has begun, for who waits for the end of the stream.
    pub fn answered(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.seat.is_answered)
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
            Poll::Pending => self.seat.waits.poll_request(cx).map(Err),
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.is_read {
            return Poll::Ready(Ok(None));
        }
        if self.is_tunnel {
            return self.poll_tunnel(cx);
        }
        // The upstream expects no body either, and is not kept waiting for one.
        if self.seat.waits.exchange.is_answered_without_body() {
            self.seat.waits.exchange.continued();
            return Poll::Ready(Err(Overdue::RestOfBody.into()));
        }
        let has_room = self.seat.waits.upload_has_room(cx);
        if !has_room && self.seat.waits.is_upload_unwanted() {
            self.is_read = true;
            return Poll::Ready(Ok(None));
        }
        match if has_room { self.poll_client(cx) } else { Poll::Pending } {
            Poll::Ready(read) => Poll::Ready(self.seat.waits.body_read(read)),
            Poll::Pending => {
                if let Poll::Ready(error) = self.output.poll_cancelled(cx) {
                    return Poll::Ready(Err(self.cancelled(error)));
                }
                self.seat.waits.poll_request_body(has_room, cx).map(Err)
            }
        }
    }

    /// What the client sends of its body or into its tunnel.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(None)) };
            let Some(piece) = ready!(body.poll_data(cx)) else {
                return self.poll_trailers(cx).map_ok(|()| None);
            };
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Poll::Ready(Err(self.cancelled(lost(error)))),
            };
            body.flow_control().release_capacity(piece.len()).map_err(lost)?;
            if body.is_end_stream() {
                self.is_read = true;
            } else if piece.is_empty() {
                continue;
            }
            self.seat.waits.timers.body_arrived(piece.len());
            return Poll::Ready(Ok(Some(piece)));
        }
    }

    fn poll_trailers(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        let trailers = ready!(body.poll_trailers(cx)).map_err(lost)?;
        self.is_read = true;
        if let Some(trailers) = trailers {
            self.seat.waits.exchange.upload.set_trailers(trailers);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.seat.waits.poll_cut(cx) || self.seat.waits.exchange.upload.is_given_up() {
            self.end_tunnel();
            return Poll::Ready(Ok(None));
        }
        let has_room = self.seat.waits.upload_has_room(cx);
        match if has_room { self.poll_client(cx) } else { Poll::Pending } {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending => {
                let is_held_up = !has_room || self.output.waiting() > 0;
                self.seat.waits.poll_tunnel(is_held_up, cx).map(Err)
            }
        }
    }

    /// The client wants no response any more.
    fn cancelled(&mut self, error: io::Error) -> io::Error {
        if self.output.is_unanswered() {
            self.output.reset(Reason::CANCEL);
            self.seat.seats.cancellations.note();
            self.seat.seats.wake_driver();
        }
        error
    }

    /// The request was read whole. Ready once the client has left or somebody took too long.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        if let Poll::Ready(error) = self.output.poll_cancelled(cx) {
            return Poll::Ready(Err(self.cancelled(error)));
        }
        if self.is_tunnel && self.seat.waits.poll_cut(cx) {
            return Poll::Pending;
        }
        // What is missing of an event stream must not be taken for its end.
        if !self.is_tunnel && self.seat.waits.poll_tunnels_end(cx).is_ready() {
            return Poll::Ready(Err(Overdue::Tunnel.into()));
        }
        self.seat.waits.poll_upstream(cx).map(Err)
    }

    /// Ready once everything that was written is sent.
    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.output.poll_send(cx);
        let arrived = std::mem::take(&mut self.arrived);
        self.seat.waits.exchange.download.set_waiting(self.output.waiting(), arrived);
        ready!(sent)?;
        self.seat.waits.timers.restart_write();
        Poll::Ready(Ok(()))
    }

    /// The client does not take what is written. Ready once it took too long.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let taken = self.output.take_taken();
        let error = ready!(self.seat.waits.poll_stalled(taken, cx));
        self.output.reset(Reason::CANCEL);
        Poll::Ready(error)
    }

    fn note_status(&mut self, status: StatusCode) {
        self.response = ResponseHeader::build_no_case(status, Some(0)).ok().map(Box::new);
    }

    fn write_interim(&mut self, head: Box<ResponseHeader>) {
        self.seat.waits.exchange.continued();
        self.note_status(head.status);
        if let Err(error) = self.output.send_interim(response_head::interim(*head)) {
            log::debug!("a client did not take an interim response: {error}");
        }
    }

    /// Nobody switched protocols: the reply is one of the proxy's own. Any 2xx would tell the client
    /// that somebody did (RFC 8441 section 5).
    fn refuse_upgrade(&mut self) {
        self.note_status(StatusCode::BAD_GATEWAY);
        self.output.set_head(response_head::not_switched());
        self.finish_writing();
    }

    /// What has to be written of the body of a response with this head.
    fn body_of(&self, head: &ResponseHeader) -> Option<u64> {
        match OutgoingBody::of_response(head, &self.request.method) {
            OutgoingBody::Done => Some(0),
            OutgoingBody::Sized(length) => Some(length),
            OutgoingBody::Chunked | OutgoingBody::ToEnd | OutgoingBody::Unknown => None,
        }
    }

    fn finish_writing(&mut self) {
        self.written = Written::Whole;
        self.output.end();
    }
}

impl Driver for StreamDriver {
    fn request(&self) -> &RequestHeader {
        &self.request
    }

    fn request_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    fn exchange(&self) -> &Arc<Exchange> {
        &self.seat.waits.exchange
    }

    fn response(&self) -> Option<&ResponseHeader> {
        self.response.as_deref()
    }

    fn digest(&self) -> &Digest {
        &self.seat.digest
    }

    fn digest_mut(&mut self) -> &mut Digest {
        &mut self.seat.digest
    }

    fn write_head(&mut self, head: Box<ResponseHeader>) {
        if self.written != Written::Nothing {
            return log::debug!("a second response to one request is not sent");
        }
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return self.write_interim(head);
        }
        self.seat.waits.expects_head = false;
        self.seat.is_answered.store(true, Ordering::Relaxed);
        if self.asks_for_upgrade && head.status.is_success() {
            return self.refuse_upgrade();
        }
        self.is_tunnel = self.asks_for_upgrade && head.status == StatusCode::SWITCHING_PROTOCOLS;
        self.is_read &= !self.is_tunnel;
        if self.seat.waits.exchange.is_tunnel() {
            self.seat.become_tunnel();
        }
        self.note_status(head.status);
        let left = if self.is_tunnel { None } else { self.body_of(&head) };
        self.output.set_head(response_head::last(*head));
        self.written = Written::Head { left };
        if left == Some(0) {
            self.finish_writing();
        }
    }

    fn write_piece(&mut self, mut piece: Bytes) -> usize {
        let Written::Head { left } = self.written else { return 0 };
        if piece.is_empty() {
            return 0;
        }
        piece.truncate(left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX)));
        let size = piece.len();
        self.output.push(piece);
        let left = left.map(|left| left.saturating_sub(u64::try_from(size).unwrap_or(u64::MAX)));
        self.written = Written::Head { left };
        size
    }

    fn write_trailers(&mut self, trailers: HeaderMap) {
        self.output.set_trailers(trailers);
    }

    fn end_response(&mut self) -> Result<(), Unfinished> {
        match self.written {
            Written::Head { left: Some(1..) } => Err(Unfinished),
            Written::Head { left: Some(0) | None } => {
                self.finish_writing();
                Ok(())
            }
            Written::Nothing | Written::Whole => Ok(()),
        }
    }

    fn is_response_written(&self) -> bool {
        self.written == Written::Whole
    }

    fn holds_head_back(&self) -> bool {
        matches!(self.written, Written::Head { left: Some(1..) })
    }

    fn pieces_arrived(&mut self, count: usize) {
        self.arrived += count;
    }

    fn unsent(&self) -> usize {
        self.output.waiting()
    }

    fn send_some(&mut self) -> io::Result<()> {
        self.seat.waits.timers.restart_read();
        match self.poll_output(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seat.waits.timers.restart_read();
        match self.poll_output(cx) {
            Poll::Pending => self.poll_stalled(cx).map(Err),
            Poll::Ready(sent) => Poll::Ready(sent),
        }
    }

    /// What the client still sends on the stream is thrown away.
    fn poll_shutdown(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output.reset(Reason::INTERNAL_ERROR);
        self.is_read = true;
        Poll::Ready(Ok(()))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        self.poll_reading(cx, Self::poll_piece)
    }

    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        self.poll_reading(cx, Self::poll_rest)
    }

    fn is_request_read(&self) -> bool {
        self.is_read
    }

    fn asks_for_upgrade(&self) -> bool {
        self.asks_for_upgrade
    }

    fn is_tunnel(&self) -> bool {
        self.is_tunnel
    }

    fn end_tunnel(&mut self) {
        self.is_read = true;
    }

    /// Other streams of the connection go on.
    fn note_failure(&mut self) {}

    fn end(&mut self, whole: bool, _finished: bool) {
        if !whole || !self.output.is_whole() {
            self.output.reset(Reason::INTERNAL_ERROR);
        } else if !self.is_tunnel
            && let Some(body) = self.body.take()
        {
            unread_body::discard(body);
        }
    }
}
