//! One request to an upstream and its response over HTTP/2, as Pingora's `HttpProxy` drives them.
//! Whatever the session waits for, it sends what is left of the request meanwhile; and it reads no
//! more of a response than the client's side has room for.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;
use http::header::HeaderValue;
use pingora_core::protocols::http::custom::client::Session as CustomSession;
use pingora_core::protocols::http::custom::{BodyWrite, CustomMessageWrite};
use pingora_core::protocols::http::v1::common::is_upgrade_req;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::{Digest, TimingDigest, UniqueIDType};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::task::yield_now;

use super::body_writer::BodyWriter;
use super::connection::Slot;
use super::fault::{Http2Fault, failed};
use super::request_head::{asked_protocol, to_http2, websocket_accept};
use super::response_head::{from_http2, length, refused, switch};
use super::upload_queue::UploadQueue;
use crate::exchange::Exchange;
use crate::message::trailers;
use crate::upstream::interim_responses::InterimResponses;
use crate::upstream::stall::Stall;

type MessageReader = Box<dyn futures_util::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// A stream of a connection.
#[derive(Debug)]
pub struct Session {
    slot: Slot,
    digest: Digest,
    /// Comes with the request's head.
    exchange: Option<Arc<Exchange>>,
    queue: Arc<UploadQueue>,
    /// Where the request's body goes.
    sender: Option<SendStream<Bytes>>,
    reading: Reading,
    /// The last head that was read.
    response: Option<Box<ResponseHeader>>,
    interim: InterimResponses,
    /// What is to come of the response's body, where its head says how much.
    left: Option<u64>,
    trailers: Option<HeaderMap>,
    tunnel: Option<Tunnel>,
    upgraded: bool,
    stall: Stall,
}

/// What is to come of the response.
#[derive(Debug)]
enum Reading {
    /// No request was sent.
    Nothing,
    Head(ResponseFuture),
    Body(RecvStream),
    Over,
}

/// What a client that asked for an upgrade is to be told.
#[derive(Debug)]
struct Tunnel {
    protocol: String,
    accept: Option<HeaderValue>,
}

impl Session {
    pub(in crate::upstream) fn new(slot: Slot) -> Self {
        Self {
            digest: slot.connection.digest(),
            slot,
            exchange: None,
            queue: Arc::default(),
            sender: None,
            reading: Reading::Nothing,
            response: None,
            interim: InterimResponses::default(),
            left: None,
            trailers: None,
            tunnel: None,
            upgraded: false,
            stall: Stall::default(),
        }
    }

    /// That of the request for which the connection was made, whose layers took so long.
    pub(in crate::upstream) fn first(slot: Slot, timing: Vec<Option<TimingDigest>>) -> Self {
        let mut session = Self::new(slot);
        session.digest.timing_digest = timing;
        session
    }

    /// That of the request whose head was written.
    fn exchange(&self) -> Result<Arc<Exchange>> {
        match &self.exchange {
            Some(exchange) => Ok(Arc::clone(exchange)),
            None => Error::e_explain(ErrorType::InternalError, "a request without an exchange"),
        }
    }

    fn is_response_over(&self) -> bool {
        matches!(self.reading, Reading::Over)
    }

    /// RFC 8441 section 3: a tunnel is asked for only where the server's settings allow it.
    async fn tunnel(&mut self, head: &RequestHeader) -> Result<Option<h2::ext::Protocol>> {
        if !is_upgrade_req(head) {
            return Ok(None);
        }
        let connection = &self.slot.connection;
        connection.settled().await?;
        let protocol = asked_protocol(head).filter(|_| connection.requests.is_extended_connect_protocol_enabled());
        let refused = || Http2Fault::NoTunnel.error(ErrorType::ConnectError, "RFC 8441".to_owned());
        let protocol = protocol.ok_or_else(refused)?;
        self.tunnel = Some(Tunnel { protocol: protocol.as_str().to_owned(), accept: websocket_accept(head) });
        Ok(Some(protocol))
    }

    fn poll_head(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_request(exchange, cx)?;
        let Reading::Head(response) = &mut self.reading else {
            return Poll::Ready(Error::e_explain(ErrorType::InternalError, "a head that nobody asked for"));
        };
        if let Poll::Ready(Some(interim)) = response.poll_informational(cx) {
            let (parts, ()) = interim.map_err(failed)?.into_parts();
            exchange.begin_response();
            self.interim.take().map_err(refused)?;
            self.response = Some(from_http2(parts, exchange.limits.response_head())?);
            return Poll::Ready(Ok(()));
        }
        let (parts, body) = ready!(Pin::new(response).poll(cx)).map_err(failed)?.into_parts();
        exchange.begin_response();
        let mut head = from_http2(parts, exchange.limits.response_head())?;
        self.left = length(&head.headers).filter(|_| !body.is_end_stream());
        self.reading = if body.is_end_stream() { Reading::Over } else { Reading::Body(body) };
        if let Some(tunnel) = self.tunnel.take().filter(|_| head.status.is_success()) {
            head = switch(head, &tunnel.protocol, tunnel.accept)?;
            (self.upgraded, self.left) = (true, None);
        }
        self.response = Some(head);
        Poll::Ready(Ok(()))
    }

    fn poll_piece(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.poll_request(exchange, cx)?;
        if self.is_response_over() {
            return self.poll_rest_of_request(exchange, cx).map(|()| Ok(None));
        }
        if exchange.download.is_cut() {
            self.reading = Reading::Over;
            return Poll::Ready(Ok(Some(Bytes::new())));
        }
        if !exchange.download.has_room(cx) {
            return Poll::Pending;
        }
        let Reading::Body(body) = &mut self.reading else {
            return Poll::Ready(Error::e_explain(ErrorType::InternalError, "a body before its head"));
        };
        loop {
            match ready!(body.poll_data(cx)) {
                Some(Ok(piece)) => {
                    body.flow_control().release_capacity(piece.len()).map_err(failed)?;
                    self.left =
                        self.left.map(|left| left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX)));
                    let is_last = body.is_end_stream();
                    // The end of a body has to be told with a piece; an empty one says nothing else.
                    if piece.is_empty() && !is_last {
                        continue;
                    }
                    if is_last {
                        self.reading = Reading::Over;
                    }
                    exchange.download.piece_read(piece.len());
                    return Poll::Ready(Ok(Some(piece)));
                }
                // RFC 9113 section 8.1: the response is whole, and the rest of the request is not wanted.
                Some(Err(error))
                    if is_unwanted_rest(&error)
                        && (self.left == Some(0)
                            || self.slot.connection.shared.is_whole(body.stream_id().as_u32())) =>
                {
                    break;
                }
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
                None => {
                    let trailers = ready!(body.poll_trailers(cx)).map_err(failed)?;
                    let none = HeaderMap::new();
                    let head = self.response.as_ref().map_or(&none, |head| &head.headers);
                    self.trailers = trailers.and_then(|trailers| trailers::of_response(trailers, head));
                    break;
                }
            }
        }
        self.reading = Reading::Over;
        if self.trailers.is_some() {
            // They are read once nothing more is; what is left of the request has no use.
            self.give_up_request(exchange);
            return Poll::Ready(Ok(None));
        }
        exchange.download.piece_read(0);
        Poll::Ready(Ok(Some(Bytes::new())))
    }

    /// The response is over. Ready once nothing is left of the request either.
    fn poll_rest_of_request(&mut self, exchange: &Exchange, cx: &Context<'_>) -> Poll<()> {
        exchange.download.register_waker(cx);
        let is_over = self.queue.lock().is_over();
        if is_over || exchange.download.is_cut() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Sends what the upstream takes of the request.
    ///
    /// # Errors
    /// When it takes nothing for too long, and has not answered either.
    fn poll_request(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Result<()> {
        let Some(sender) = &mut self.sender else { return Ok(()) };
        let queue = Arc::clone(&self.queue);
        let mut queue = queue.lock();
        let mut taken = 0;
        let sent = queue.poll_send(sender, &mut taken, cx);
        exchange.upload.set_waiting(queue.waiting());
        match sent {
            Poll::Ready(Ok(())) => {
                self.stall.reset();
            }
            // Its response may have come before it closed.
            Poll::Ready(Err(error)) => {
                log::debug!("an upstream takes no more of a request: {error}");
                queue.give_up(exchange);
                self.sender = None;
            }
            Poll::Pending => {
                let is_answered = matches!(self.reading, Reading::Over) && !self.upgraded;
                if self.stall.poll(taken > 0, is_answered, cx).is_ready() {
                    queue.give_up(exchange);
                    if matches!(self.reading, Reading::Head(_)) {
                        return Error::e_explain(ErrorType::WriteTimedout, "a request");
                    }
                    self.sender = None;
                }
            }
        }
        Ok(())
    }

    fn give_up_request(&mut self, exchange: &Exchange) {
        let mut queue = self.queue.lock();
        if !queue.is_over() {
            queue.give_up(exchange);
        }
    }
}

/// Whether the server has reset the stream because it wants no more of the request, which says nothing
/// of whether its response is whole.
fn is_unwanted_rest(error: &h2::Error) -> bool {
    error.is_reset() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
}

#[async_trait]
impl CustomSession for Session {
    async fn write_request_header(&mut self, mut request: Box<RequestHeader>, end: bool) -> Result<()> {
        self.exchange = request.extensions_mut().remove::<Arc<Exchange>>();
        let tunnel = self.tunnel(&request).await?;
        let is_whole = end && tunnel.is_none();
        // A body of no bytes that is sent again may have trailers.
        let end = is_whole && !self.exchange()?.upload.has_trailers();
        let left = length(&request.headers).filter(|_| tunnel.is_none());
        let connection = &self.slot.connection;
        let sent = to_http2(&request, connection.is_secure, tunnel)?;
        let (response, sender) = connection.requests.clone().send_request(sent, end).map_err(failed)?;
        let fields = if end { HeaderMap::new() } else { request.as_owned_parts().headers };
        self.queue.lock().begin(fields, left, end);
        if is_whole && !end {
            self.queue.lock().end(&*self.exchange()?);
        }
        self.sender = (!end).then_some(sender);
        self.reading = Reading::Head(response);
        Ok(())
    }

    async fn write_request_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        let exchange = self.exchange()?;
        let mut queue = self.queue.lock();
        queue.write(data, &exchange);
        if end {
            queue.end(&exchange);
        }
        Ok(())
    }

    async fn finish_request_body(&mut self) -> Result<()> {
        let exchange = self.exchange()?;
        self.queue.lock().end(&exchange);
        Ok(())
    }

    /// The exchange has the deadlines of the response.
    fn set_read_timeout(&mut self, _timeout: Option<Duration>) {}

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.stall.write_timeout = timeout;
    }

    async fn read_response_header(&mut self) -> Result<()> {
        let exchange = self.exchange()?;
        // An error ends Pingora's loop at once, with what it has read and not yet written. So each interim response
        // goes to the client first, by the half of the loop that has its turn before or behind this one.
        // Its first turn takes the response, its second one writes it.
        if self.response.is_some() {
            yield_now().await;
            yield_now().await;
        }
        poll_fn(|cx| self.poll_head(&exchange, cx)).await
    }

    async fn read_response_body(&mut self) -> Result<Option<Bytes>> {
        let exchange = self.exchange()?;
        poll_fn(|cx| self.poll_piece(&exchange, cx)).await
    }

    fn response_finished(&self) -> bool {
        self.is_response_over()
    }

    /// The stream is reset when it is dropped before its end.
    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.sender = None;
        self.reading = Reading::Over;
    }

    fn response_header(&self) -> Option<&ResponseHeader> {
        self.response.as_deref()
    }

    fn was_upgraded(&self) -> bool {
        self.upgraded
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(&mut self.digest)
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    async fn read_trailers(&mut self) -> Result<Option<HeaderMap>> {
        Ok(self.trailers.take())
    }

    fn fd(&self) -> UniqueIDType {
        self.slot.connection.socket
    }

    /// With trailers to come the response has no end yet.
    async fn check_response_end_or_error(&mut self, _headers: bool) -> Result<bool> {
        Ok(self.is_response_over() && self.trailers.is_none())
    }

    fn take_request_body_writer(&mut self) -> Option<Box<dyn BodyWrite>> {
        let exchange = Arc::clone(self.exchange.as_ref()?);
        Some(Box::new(BodyWriter { queue: Arc::clone(&self.queue), exchange }))
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<MessageReader> {
        Some(Box::new(self.exchange.as_ref()?.messages()))
    }

    async fn drain_custom_messages(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        Some(Box::new(()))
    }
}
