//! One exchange of HTTP/1 as Pingora's `HttpProxy` drives it.

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Version, header};
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as CustomSession;
use pingora_core::protocols::http::v1::common::is_upgrade_req;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_timeout::timeout;

use super::connection::{Connection, DRAIN_LIMIT};
use super::lent::{Lent, Slot};
use super::request_head::Head;
use super::response_head;
use super::retry_buffer::RetryBuffer;
use crate::http1::OutgoingBody;

type MessageReader = Box<dyn futures_util::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// A request that was read, and the response to it.
#[derive(Debug)]
pub struct Session {
    connection: Lent,
    request: Box<RequestHeader>,
    /// The last head that was written.
    response: Option<Box<ResponseHeader>>,
    body: OutgoingBody,
    /// Whether the connection goes on after the response; settled when its head is written.
    keep_alive: bool,
    upgraded: bool,
    /// Pingora has nothing more to write.
    finished: bool,
    /// The client is gone, silent or takes nothing.
    failed: bool,
    bytes_read: usize,
    /// Of the response's body.
    bytes_written: usize,
    retry_buffer: Option<RetryBuffer>,
    drain_limit: Option<Duration>,
}

impl Session {
    /// The exchange that begins with `head`. The connection comes back to `slot` if the client gets
    /// its whole response.
    pub fn new(connection: Box<Connection>, head: Head, slot: Slot) -> Self {
        Self {
            connection: Lent::new(connection, slot),
            request: head.request,
            response: None,
            body: OutgoingBody::Unknown,
            keep_alive: head.keep_alive,
            upgraded: false,
            finished: false,
            failed: false,
            bytes_read: 0,
            bytes_written: 0,
            retry_buffer: None,
            drain_limit: Some(DRAIN_LIMIT),
        }
    }

    /// Whether the client has its response whole, as far as the proxy can tell.
    fn is_whole(&self) -> bool {
        self.body.is_done() && !self.failed
    }

    fn begin_response(&mut self, mut head: Box<ResponseHeader>) {
        if self.body != OutgoingBody::Unknown {
            return log::debug!("a second response to one request is not sent");
        }
        if head.status.is_informational() && head.status != http::StatusCode::SWITCHING_PROTOCOLS {
            return self.write_interim(head);
        }
        self.upgraded = self.is_upgrade_req() && head.status == http::StatusCode::SWITCHING_PROTOCOLS;
        if self.request.version == Version::HTTP_10 {
            // It reads to the end of the connection (RFC 9112 section 6.1).
            head.remove_header(&header::TRANSFER_ENCODING);
        }
        self.body = OutgoingBody::of_response(&head, &self.request.method);
        self.connection.begin_response(self.upgraded);
        let ends_with_body = self.upgraded || self.body == OutgoingBody::ToEnd;
        let ends_connection = ends_with_body || self.connection.closes_after_response();
        self.keep_alive &= !ends_connection;
        let out = self.connection.output.gathered();
        if self.upgraded {
            response_head::write_as_is(out, &head);
        } else {
            response_head::write_final(out, &head, self.keep_alive);
        }
        self.response = Some(head);
    }

    fn write_interim(&mut self, head: Box<ResponseHeader>) {
        // An HTTP/1.0 client would take one for the response (RFC 9110 section 15.2).
        if self.request.version == Version::HTTP_10 {
            return;
        }
        self.connection.exchange.continued();
        response_head::write_as_is(self.connection.output.gathered(), &head);
        self.response = Some(head);
    }

    fn write_piece(&mut self, piece: Bytes) {
        self.bytes_written += self.body.write(piece, &mut self.connection.output);
    }

    /// Nothing more is written.
    fn end_response(&mut self) -> Result<()> {
        if self.body.is_done() {
            return Ok(());
        }
        if self.body.finish(&mut self.connection.output).is_err() {
            self.failed = true;
            return Error::e_explain(ErrorType::InternalError, "a response is shorter than it says");
        }
        if self.upgraded {
            self.connection.end_output();
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let flushed = poll_fn(|cx| self.connection.poll_flush(cx)).await;
        self.check_sent(flushed)
    }

    fn check_sent(&mut self, sent: io::Result<()>) -> Result<()> {
        self.failed |= sent.is_err();
        sent.map_err(|error| Error::because(ErrorType::WriteError, "to the client", error).into_down())
    }

    fn read_failed(&mut self, error: io::Error) -> Box<Error> {
        self.keep_alive = false;
        // A client that sent nonsense is there to read why it is refused.
        self.failed |= error.kind() != io::ErrorKind::InvalidData;
        Error::because(ErrorType::ReadError, "from the client", error).into_down()
    }

    async fn read_piece(&mut self) -> Result<Option<Bytes>> {
        let read = poll_fn(|cx| self.connection.poll_body(cx)).await;
        let piece = read.map_err(|error| self.read_failed(error))?;
        if let Some(piece) = &piece {
            self.bytes_read += piece.len();
            if let Some(buffer) = &mut self.retry_buffer {
                buffer.keep(piece);
            }
        }
        Ok(piece)
    }

    async fn drain(&mut self) -> Result<()> {
        while self.read_piece().await?.is_some() {}
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.is_whole() {
            self.connection.end_exchange(self.keep_alive && self.finished);
            self.connection.give_back();
        }
    }
}

#[async_trait]
impl CustomSession for Session {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.read_piece().await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        match self.drain_limit {
            Some(limit) => timeout(limit, self.drain()).await.unwrap_or_else(|_| {
                self.failed = true;
                Error::e_explain(ErrorType::ReadTimedout, "the rest of a body").map_err(Error::into_down)
            }),
            None => self.drain().await,
        }
    }

    /// A head of which the length of the body is known leaves with that.
    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.begin_response(head);
        if end {
            self.end_response()?;
        }
        if matches!(self.body, OutgoingBody::Sized(_)) { Ok(()) } else { self.flush().await }
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }

    async fn write_body(&mut self, piece: Bytes, end: bool) -> Result<()> {
        self.write_piece(piece);
        if end {
            self.end_response()?;
        }
        self.flush().await
    }

    /// HTTP/1 clients get none: who does not ask for them cannot use them.
    async fn write_trailers(&mut self, _trailers: HeaderMap) -> Result<()> {
        Ok(())
    }

    /// Does not wait for the client to take what is written: the upstream's driver reads no more
    /// while much of it waits, and the client is read meanwhile.
    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let (mut is_end, mut pieces) = (false, 0);
        for task in tasks {
            is_end = match task {
                HttpTask::Header(head, end) => {
                    self.begin_response(head);
                    end
                }
                HttpTask::Body(piece, end) | HttpTask::UpgradedBody(piece, end) => {
                    pieces += 1;
                    self.write_piece(piece.unwrap_or_default());
                    end
                }
                HttpTask::Trailer(_) | HttpTask::Done => true,
                HttpTask::Failed(error) => {
                    // The client shall see as much of the response as there was.
                    self.flush().await?;
                    return Err(error);
                }
            };
        }
        if is_end {
            self.end_response()?;
        }
        self.connection.pieces_arrived(pieces);
        let is_over = is_end || self.body.is_done();
        if is_over && self.connection.body.is_done() {
            self.flush().await?;
            return Ok(true);
        }
        let sent = self.connection.send_some();
        self.check_sent(sent)?;
        // Another `Done` comes when nothing is left of the request either.
        Ok(false)
    }

    /// The exchange has its deadlines, for reads and for writes.
    fn set_read_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, _timeout: Option<Duration>) {}

    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_limit = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain_limit
    }

    fn request_summary(&self) -> String {
        let host = self.request.headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
        let target = self.request.raw_path().escape_ascii();
        format!("{} {target}, Host: {}", self.request.method, host.escape_ascii())
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.response.as_deref()
    }

    async fn shutdown(&mut self, _code: u32, context: &str) {
        self.failed = true;
        if let Err(error) = poll_fn(|cx| self.connection.poll_shutdown(cx)).await {
            log::debug!("closing a client's connection, {context}: {error}");
        }
    }

    fn is_body_done(&mut self) -> bool {
        self.connection.body.is_done()
    }

    /// Pingora calls it at the end of a response, and again when it is done with the exchange.
    async fn finish(&mut self) -> Result<()> {
        self.end_response()?;
        if self.upgraded {
            self.connection.end_tunnel();
        }
        self.flush().await?;
        self.finished = true;
        Ok(())
    }

    fn is_body_empty(&mut self) -> bool {
        self.connection.body.is_done() && self.bytes_read == 0
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.connection.body.is_done() {
            return self.read_piece().await;
        }
        match poll_fn(|cx| self.connection.poll_quiet(cx)).await {
            Ok(never) => match never {},
            Err(error) => Err(self.read_failed(error)),
        }
    }

    fn body_bytes_sent(&self) -> usize {
        self.bytes_written.saturating_sub(self.connection.output.waiting())
    }

    fn body_bytes_read(&self) -> usize {
        self.bytes_read
    }

    fn digest(&self) -> Option<&Digest> {
        Some(self.connection.digest())
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(self.connection.digest_mut())
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.connection.digest().socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.connection.digest().socket_digest.as_ref()?.local_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        let version = if self.request.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut out = Vec::with_capacity(512);
        let line = [self.request.method.as_str().as_bytes(), b" ", self.request.raw_path(), b" ", version.as_bytes()];
        line.iter().chain([&&b"\r\n"[..]]).for_each(|part| out.extend_from_slice(part));
        self.request.header_to_h1_wire(&mut out);
        out.extend_from_slice(b"\r\n");
        out.into()
    }

    fn enable_retry_buffering(&mut self) {
        self.retry_buffer.get_or_insert_default();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.retry_buffer.as_ref().is_some_and(RetryBuffer::is_truncated)
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.retry_buffer.as_ref()?.kept()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    /// HTTP/1 has no messages beside the body.
    fn take_custom_message_reader(&mut self) -> Option<MessageReader> {
        Some(Box::new(futures_util::stream::empty()))
    }

    fn restore_custom_message_reader(&mut self, _reader: MessageReader) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        Some(Box::new(()))
    }

    fn restore_custom_message_writer(&mut self, _writer: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }

    fn is_upgrade_req(&self) -> bool {
        is_upgrade_req(&self.request)
    }

    fn was_upgraded(&self) -> bool {
        self.upgraded
    }
}
