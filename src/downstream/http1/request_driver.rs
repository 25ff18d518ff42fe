//! One exchange on an HTTP/1 connection.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header};
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::v1::common::is_upgrade_req;
use pingora_http::{RequestHeader, ResponseHeader};

use super::connection::Connection;
use super::lent::{Lent, Slot};
use super::request_head::Head;
use super::response_head;
use crate::downstream::driver::{Driver, Unfinished};
use crate::exchange::Exchange;
use crate::http1::OutgoingBody;
use crate::message::trailers::beyond_this_hop;

/// A request that was read from a connection, and the response to it.
#[derive(Debug)]
pub struct RequestDriver {
    connection: Lent,
    request: Box<RequestHeader>,
    response: Option<Box<ResponseHeader>>,
    body: OutgoingBody,
    /// Whether the connection goes on after the response; settled when its head is written.
    keep_alive: bool,
    upgraded: bool,
}

impl RequestDriver {
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
        }
    }

    fn write_interim(&mut self, head: Box<ResponseHeader>) {
        // An HTTP/1.0 client would take one for the response (RFC 9110 section 15.2).
        if self.request.version == Version::HTTP_10 {
            return;
        }
        self.connection.waits.exchange.continued();
        response_head::write_as_is(self.connection.output.gathered(), &head);
        self.response = Some(head);
    }
}

impl Driver for RequestDriver {
    fn request(&self) -> &RequestHeader {
        &self.request
    }

    fn request_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    fn exchange(&self) -> &Arc<Exchange> {
        &self.connection.waits.exchange
    }

    fn response(&self) -> Option<&ResponseHeader> {
        self.response.as_deref()
    }

    fn digest(&self) -> &Digest {
        self.connection.digest()
    }

    fn digest_mut(&mut self) -> &mut Digest {
        self.connection.digest_mut()
    }

    fn write_head(&mut self, mut head: Box<ResponseHeader>) {
        if self.body != OutgoingBody::Unknown {
            return log::debug!("a second response to one request is not sent");
        }
        if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
            return self.write_interim(head);
        }
        self.upgraded = self.asks_for_upgrade() && head.status == StatusCode::SWITCHING_PROTOCOLS;
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

    fn write_piece(&mut self, piece: Bytes) -> usize {
        self.body.write(piece, &mut self.connection.output)
    }

    /// They end a chunked body, and no other has a place for them. A client that has not said `TE: trailers` gets
    /// them, too: it may drop what it has no use for (RFC 9110 section 6.5.1).
    fn write_trailers(&mut self, trailers: HeaderMap) {
        self.body.end_with(&trailers, &mut self.connection.output);
    }

    fn end_response(&mut self) -> Result<(), Unfinished> {
        if self.body.is_done() {
            return Ok(());
        }
        self.body.finish(&mut self.connection.output).map_err(|_| Unfinished)?;
        if self.upgraded {
            self.connection.end_output();
        }
        Ok(())
    }

    fn is_response_written(&self) -> bool {
        self.body.is_done()
    }

    fn holds_head_back(&self) -> bool {
        matches!(self.body, OutgoingBody::Sized(_))
    }

    fn pieces_arrived(&mut self, count: usize) {
        self.connection.pieces_arrived(count);
    }

    fn unsent(&self) -> usize {
        self.connection.output.waiting()
    }

    fn send_some(&mut self) -> io::Result<()> {
        self.connection.send_some()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_shutdown(cx)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let read = self.connection.poll_body(cx);
        if let Some(trailers) = self.connection.input.take_trailers() {
            let trailers = beyond_this_hop(trailers, &self.request.headers);
            self.connection.waits.exchange.upload.set_trailers(trailers);
        }
        read
    }

    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        self.connection.poll_quiet(cx)
    }

    fn is_request_read(&self) -> bool {
        self.connection.body.is_done()
    }

    fn asks_for_upgrade(&self) -> bool {
        is_upgrade_req(&self.request)
    }

    fn is_tunnel(&self) -> bool {
        self.upgraded
    }

    fn end_tunnel(&mut self) {
        self.connection.end_tunnel();
    }

    fn note_failure(&mut self) {
        self.keep_alive = false;
    }

    fn end(&mut self, whole: bool, finished: bool) {
        if whole {
            self.connection.end_exchange(self.keep_alive && finished);
            self.connection.give_back();
        }
    }
}
