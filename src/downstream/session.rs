//! One exchange with a client as Pingora's `HttpProxy` drives it, whatever its protocol.

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
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_timeout::timeout;
use tokio::task::yield_now;

use super::driver::Driver;
use super::retry_buffer::RetryBuffer;
use crate::exchange::GivenUp;
use crate::http1::spelling;

type MessageReader = Box<dyn futures_util::Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

/// How long the rest of a body that nobody wants is read, for the sake of what comes behind it.
pub(super) const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// A request that was read, and the response to it.
#[derive(Debug)]
pub struct Session<D: Driver> {
    driver: D,
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

impl<D: Driver> Session<D> {
    pub fn new(driver: D) -> Self {
        Self {
            driver,
            finished: false,
            failed: false,
            bytes_read: 0,
            bytes_written: 0,
            retry_buffer: None,
            drain_limit: Some(DRAIN_LIMIT),
        }
    }

    fn write_piece(&mut self, piece: Bytes) {
        self.bytes_written += self.driver.write_piece(piece);
    }

    /// Nothing more is written.
    fn end_response(&mut self) -> Result<()> {
        if self.driver.end_response().is_err() {
            self.failed = true;
            return Error::e_explain(ErrorType::InternalError, "a response is shorter than it says");
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let flushed = poll_fn(|cx| self.driver.poll_flush(cx)).await;
        self.check_sent(flushed)
    }

    fn check_sent(&mut self, sent: io::Result<()>) -> Result<()> {
        self.failed |= sent.is_err();
        sent.map_err(|error| Error::because(ErrorType::WriteError, "to the client", error).into_down())
    }

    fn read_failed(&mut self, error: io::Error) -> Box<Error> {
        self.driver.note_failure();
        // A client that sent nonsense is there to read why it is refused.
        self.failed |= error.kind() != io::ErrorKind::InvalidData;
        Error::because(ErrorType::ReadError, "from the client", error).into_down()
    }

    async fn read_piece(&mut self) -> Result<Option<Bytes>> {
        let read = poll_fn(|cx| self.driver.poll_body(cx)).await;
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

impl<D: Driver> Drop for Session<D> {
    fn drop(&mut self) {
        let whole = self.driver.is_response_written() && !self.failed;
        self.driver.exchange().last_word.say(|| GivenUp {
            request: self.driver.request(),
            status: self.driver.response().map(|head| head.status.as_u16()),
            bytes_in: self.bytes_read,
            bytes_out: self.bytes_written.saturating_sub(self.driver.unsent()),
        });
        self.driver.end(whole, self.finished);
    }
}

#[async_trait]
impl<D: Driver> CustomSession for Session<D> {
    fn req_header(&self) -> &RequestHeader {
        self.driver.request()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.driver.request_mut()
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
        self.driver.write_head(head);
        if end {
            self.end_response()?;
        }
        if self.driver.holds_head_back() { Ok(()) } else { self.flush().await }
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

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.driver.write_trailers(trailers);
        Ok(())
    }

    /// Does not wait for the client to take what is written: the upstream's driver reads no more
    /// while much of it waits, and the client is read meanwhile.
    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let (mut is_end, mut pieces) = (false, 0);
        for task in tasks {
            is_end = match task {
                HttpTask::Header(head, end) => {
                    self.driver.write_head(head);
                    end
                }
                HttpTask::Body(piece, end) | HttpTask::UpgradedBody(piece, end) => {
                    pieces += 1;
                    self.write_piece(piece.unwrap_or_default());
                    end
                }
                HttpTask::Trailer(trailers) => {
                    if let Some(trailers) = trailers {
                        self.driver.write_trailers(*trailers);
                    }
                    true
                }
                HttpTask::Done => true,
                HttpTask::Failed(error) => {
                    // The client shall see as much of the response as there was. A stream that is reset takes
                    // back what its connection has not written yet: that one has its turn first.
                    self.flush().await?;
                    yield_now().await;
                    return Err(error);
                }
            };
        }
        if is_end {
            self.end_response()?;
        }
        self.driver.pieces_arrived(pieces);
        let is_over = is_end || self.driver.is_response_written();
        if is_over && self.driver.is_request_read() {
            self.flush().await?;
            return Ok(true);
        }
        let sent = self.driver.send_some();
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
        let request = self.driver.request();
        let host = request.headers.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
        let target = request.raw_path().escape_ascii();
        format!("{} {target}, Host: {}", request.method, host.escape_ascii())
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.driver.response()
    }

    async fn shutdown(&mut self, _code: u32, context: &str) {
        self.failed = true;
        if let Err(error) = poll_fn(|cx| self.driver.poll_shutdown(cx)).await {
            log::debug!("closing a client's connection, {context}: {error}");
        }
    }

    fn is_body_done(&mut self) -> bool {
        self.driver.is_request_read()
    }

    /// Pingora calls it at the end of a response, and again when it is done with the exchange.
    async fn finish(&mut self) -> Result<()> {
        self.end_response()?;
        if self.driver.is_tunnel() {
            self.driver.end_tunnel();
        }
        self.flush().await?;
        self.finished = true;
        Ok(())
    }

    fn is_body_empty(&mut self) -> bool {
        self.driver.is_request_read() && self.bytes_read == 0
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.driver.is_request_read() {
            return self.read_piece().await;
        }
        match poll_fn(|cx| self.driver.poll_quiet(cx)).await {
            Ok(never) => match never {},
            Err(error) => Err(self.read_failed(error)),
        }
    }

    fn body_bytes_sent(&self) -> usize {
        self.bytes_written.saturating_sub(self.driver.unsent())
    }

    fn body_bytes_read(&self) -> usize {
        self.bytes_read
    }

    fn digest(&self) -> Option<&Digest> {
        Some(self.driver.digest())
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(self.driver.digest_mut())
    }

    /// The hooks ask `ClientConnection` for the ends of the connection, and Pingora asks for neither.
    fn client_addr(&self) -> Option<&SocketAddr> {
        None
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        None
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        let request = self.driver.request();
        let version = if request.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" };
        let mut out = Vec::with_capacity(512);
        let line = [request.method.as_str().as_bytes(), b" ", request.raw_path(), b" ", version.as_bytes()];
        line.iter().chain([&&b"\r\n"[..]]).for_each(|part| out.extend_from_slice(part));
        spelling::request_fields(request).for_each(|(name, value)| name.push_line(value, &mut out));
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

    /// There are no messages beside the body.
    fn take_custom_message_reader(&mut self) -> Option<MessageReader> {
        Some(Box::new(self.driver.exchange().messages()))
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
        self.driver.asks_for_upgrade()
    }

    fn was_upgraded(&self) -> bool {
        self.driver.is_tunnel()
    }
}
