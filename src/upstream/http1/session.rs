//! One request to an upstream and its response, as Pingora's `HttpProxy` drives them. Whatever
//! the session waits for, it sends what is left of the request meanwhile; and it reads no more
//! of a response than the client's side has room for.

use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version, header};
use pingora_core::protocols::http::custom::client::Session as CustomSession;
use pingora_core::protocols::http::custom::{BodyWrite, CustomMessageWrite};
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::protocols::{Digest, UniqueIDType};
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::io::AsyncWrite;
use tokio::task::yield_now;

use super::bad_response::BadResponse;
use super::body_writer::BodyWriter;
use super::connection::Connection;
use super::response_head::{FramingFields, Head};
use crate::exchange::Exchange;
use crate::http1::spelling;
use crate::http1::{BodyFields, IncomingBody, OutgoingBody};
use crate::message::trailers;
use crate::upstream::interim_responses::InterimResponses;
use crate::upstream::stall::Stall;
use crate::upstream::transport::read_failed;

type MessageReader = Box<dyn futures_util::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// A connection for the time of one request.
#[derive(Debug)]
pub struct Session {
    connection: Box<Connection>,
    is_first: bool,
    /// Comes with the request's head.
    exchange: Option<Arc<Exchange>>,
    method: Method,
    asks_for_upgrade: bool,
    /// The last head that was read.
    response: Option<Box<ResponseHeader>>,
    interim: InterimResponses,
    /// What is to come of the response's body; `None` before its final head.
    body: Option<IncomingBody>,
    trailers: Option<Box<HeaderMap>>,
    keep_alive: bool,
    upgraded: bool,
    /// Our direction of a tunnel is closed.
    is_shut: bool,
    stall: Stall,
}

impl Session {
    /// `is_first`: the connection is a new one.
    pub(in crate::upstream) fn new(connection: Box<Connection>, is_first: bool) -> Self {
        Self {
            connection,
            is_first,
            exchange: None,
            method: Method::GET,
            asks_for_upgrade: false,
            response: None,
            interim: InterimResponses::default(),
            body: None,
            trailers: None,
            keep_alive: false,
            upgraded: false,
            is_shut: false,
            stall: Stall::default(),
        }
    }

    /// The connection, if another request may follow on it.
    pub(in crate::upstream) fn into_idle(mut self) -> Option<Box<Connection>> {
        let goes_on = self.keep_alive
            && !self.upgraded
            && self.is_response_over()
            && self.connection.input.waiting().is_empty()
            && self.connection.queue.lock().is_sent();
        if goes_on {
            return Some(self.connection);
        }
        // TLS says that it ends; nobody waits for that.
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.connection.stream).poll_shutdown(&mut cx) {
            log::debug!("closing a connection to an upstream: {error}");
        }
        None
    }

    pub(in crate::upstream) fn is_first(&self) -> bool {
        self.is_first
    }

    fn is_response_over(&self) -> bool {
        self.body.is_some_and(|body| body.is_done())
    }

    /// That of the request whose head was written.
    fn exchange(&self) -> Result<Arc<Exchange>> {
        match &self.exchange {
            Some(exchange) => Ok(Arc::clone(exchange)),
            None => Error::e_explain(ErrorType::InternalError, "a request without an exchange"),
        }
    }

    fn poll_head(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_request(exchange, cx)?;
        loop {
            if let Some(head) =
                Head::read(self.connection.input.waiting(), exchange.limits.response_head()).map_err(refused)?
            {
                self.connection.input.skip(head.length);
                exchange.begin_response();
                return Poll::Ready(self.begin_response(head.response));
            }
            let read = ready!(self.connection.input.poll_fill(&mut self.connection.stream, cx)).map_err(read_failed)?;
            if read == 0 {
                return Poll::Ready(Error::e_explain(
                    ErrorType::ConnectionClosed,
                    "before the response's head was whole",
                ));
            }
        }
    }

    fn begin_response(&mut self, head: Box<ResponseHeader>) -> Result<()> {
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if head.status.is_informational() && !switches {
            self.interim.take().map_err(refused)?;
            self.response = Some(head);
            return Ok(());
        }
        if switches && !self.asks_for_upgrade {
            return Err(refused(BadResponse::Switch));
        }
        self.upgraded = switches;
        let fields = FramingFields::of(&head);
        let body =
            if switches { IncomingBody::ToEnd } else { fields.body(head.status, &self.method).map_err(refused)? };
        self.keep_alive = body != IncomingBody::ToEnd && fields.keeps_alive(head.version);
        self.body = Some(body);
        self.response = Some(head);
        if self.upgraded {
            self.connection.queue.lock().become_tunnel();
        }
        Ok(())
    }

    fn poll_piece(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.poll_request(exchange, cx)?;
        let body = match &mut self.body {
            None => return Poll::Ready(Error::e_explain(ErrorType::InternalError, "a body before its head")),
            Some(IncomingBody::Done) if self.trailers.is_some() => {
                return Poll::Ready(Ok(self.end_with_trailers(exchange)));
            }
            Some(IncomingBody::Done) => return self.poll_rest_of_request(exchange, cx).map(|()| Ok(None)),
            Some(body) => body,
        };
        if exchange.download.is_cut() {
            *body = IncomingBody::Done;
            return Poll::Ready(Ok(Some(Bytes::new())));
        }
        if !exchange.download.has_room(cx) {
            return Poll::Pending;
        }
        let piece =
            ready!(body.poll_read(&mut self.connection.input, &mut self.connection.stream, cx)).map_err(read_failed)?;
        if let Some(trailers) = self.connection.input.take_trailers() {
            self.note_trailers(trailers);
            if piece.is_none() && self.trailers.is_some() {
                return Poll::Ready(Ok(self.end_with_trailers(exchange)));
            }
        }
        // The end of a body has to be told with a piece.
        let piece = piece.unwrap_or_default();
        exchange.download.piece_read(piece.len());
        Poll::Ready(Ok(Some(piece)))
    }

    fn note_trailers(&mut self, trailers: HeaderMap) {
        let Some(head) = &self.response else { return };
        self.trailers = trailers::of_response(trailers, &head.headers).map(Box::new);
    }

    /// Pingora reads trailers once it has no piece, and nothing after them: what is left of the request has no
    /// use.
    fn end_with_trailers(&mut self, exchange: &Exchange) -> Option<Bytes> {
        let mut queue = self.connection.queue.lock();
        if !queue.is_over() {
            queue.give_up(exchange);
        }
        None
    }

    /// The response is over. Ready once nothing is left of the request either.
    fn poll_rest_of_request(&mut self, exchange: &Exchange, cx: &Context<'_>) -> Poll<()> {
        exchange.download.register_waker(cx);
        let is_over = self.connection.queue.lock().is_over() && (self.is_shut || !self.upgraded);
        if is_over || exchange.download.is_cut() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Sends what the upstream takes of the request.
    ///
    /// # Errors
    /// When it takes nothing for too long, and has not answered either.
    fn poll_request(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Result<()> {
        let queue = Arc::clone(&self.connection.queue);
        let mut queue = queue.lock();
        let sent = queue.poll_send(&mut self.connection.stream, cx);
        let is_moving = queue.output.take_taken() > 0;
        let is_answered = self.body.is_some_and(|body| body.is_done()) && !self.upgraded;
        exchange.upload.set_waiting(queue.output.waiting());
        match sent {
            Poll::Ready(Ok(())) => {
                self.stall.reset();
                if self.upgraded && queue.is_over() && !self.is_shut {
                    self.is_shut = Pin::new(&mut self.connection.stream).poll_shutdown(cx).is_ready();
                }
            }
            // Its response may have come before it closed.
            Poll::Ready(Err(error)) => {
                log::debug!("an upstream takes no more of a request: {error}");
                queue.give_up(exchange);
                self.is_shut = true;
            }
            Poll::Pending => {
                if self.stall.poll(is_moving, is_answered, cx).is_ready() {
                    queue.give_up(exchange);
                    self.is_shut = true;
                    if self.body.is_none() {
                        return Error::e_explain(ErrorType::WriteTimedout, "a request");
                    }
                }
            }
        }
        Ok(())
    }
}

fn refused(bad: BadResponse) -> Box<Error> {
    Error::because(ErrorType::InvalidHTTPHeader, "from an upstream", bad)
}

/// The line and the fields of a request's head (RFC 9112 section 3).
///
/// # Errors
/// When the target would not be one to every reader.
fn write_head(out: &mut BytesMut, request: &RequestHeader) -> Result<()> {
    let target = request.raw_path();
    if target.is_empty() || target.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f)) {
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "a target with blanks or control bytes");
    }
    for part in [request.method.as_str().as_bytes(), b" ", target, b" HTTP/1.1\r\n"] {
        out.put_slice(part);
    }
    spelling::request_fields(request).for_each(|(name, value)| name.push_line(value, out));
    out.put_slice(b"\r\n");
    Ok(())
}

#[async_trait]
impl CustomSession for Session {
    /// The head leaves with what follows it.
    async fn write_request_header(&mut self, mut request: Box<RequestHeader>, end: bool) -> Result<()> {
        self.exchange = request.extensions_mut().remove::<Arc<Exchange>>();
        let exchange = self.exchange()?;
        let fields = BodyFields::of(&request.headers);
        self.asks_for_upgrade = fields.has_upgrade && request.version == Version::HTTP_11;
        let mut body = fields.of_request();
        if !end && !self.asks_for_upgrade && fields.is_silent() {
            // HTTP/2 does not have to say how long a body is.
            request.insert_header(header::TRANSFER_ENCODING, "chunked")?;
            body = OutgoingBody::Chunked;
        }
        self.method = request.method.clone();
        let mut queue = self.connection.queue.lock();
        write_head(queue.output.gathered(), &request)?;
        queue.begin(request, body);
        if end {
            queue.end(&exchange);
        }
        Ok(())
    }

    async fn write_request_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        let exchange = self.exchange()?;
        let mut queue = self.connection.queue.lock();
        queue.write(data, &exchange);
        if end {
            queue.end(&exchange);
        }
        Ok(())
    }

    async fn finish_request_body(&mut self) -> Result<()> {
        let exchange = self.exchange()?;
        self.connection.queue.lock().end(&exchange);
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

    /// It closes when it is dropped.
    async fn shutdown(&mut self, _code: u32, _context: &str) {
        self.keep_alive = false;
    }

    fn response_header(&self) -> Option<&ResponseHeader> {
        self.response.as_deref()
    }

    fn was_upgraded(&self) -> bool {
        self.upgraded
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.connection.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(&mut self.connection.digest)
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.connection.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.connection.digest.socket_digest.as_ref()?.local_addr()
    }

    async fn read_trailers(&mut self) -> Result<Option<HeaderMap>> {
        Ok(self.trailers.take().map(|trailers| *trailers))
    }

    fn fd(&self) -> UniqueIDType {
        self.connection.stream.socket().as_raw_fd()
    }

    /// With trailers to come the response has no end yet.
    async fn check_response_end_or_error(&mut self, _headers: bool) -> Result<bool> {
        Ok(self.is_response_over() && self.trailers.is_none())
    }

    fn take_request_body_writer(&mut self) -> Option<Box<dyn BodyWrite>> {
        let exchange = Arc::clone(self.exchange.as_ref()?);
        Some(Box::new(BodyWriter { queue: Arc::clone(&self.connection.queue), exchange }))
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    /// HTTP/1 has no messages beside the body.
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
