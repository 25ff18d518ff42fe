//! What a protocol does for one exchange of a client. [`super::Session`] is what Pingora drives;
//! a driver is what it drives.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use pingora_core::protocols::Digest;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::exchange::Exchange;

/// A response ended before its length.
#[derive(Debug, PartialEq, Eq)]
pub struct Unfinished;

/// One request of a client that was read, and the response to it. Nothing waits for a client to
/// take a response before its end: whoever waits for something else of the client sends what is
/// left of it.
pub trait Driver: std::fmt::Debug + Send + Sync + Unpin + 'static {
    fn request(&self) -> &RequestHeader;

    fn request_mut(&mut self) -> &mut RequestHeader;

    fn exchange(&self) -> &Arc<Exchange>;

    /// The last head that was written.
    fn response(&self) -> Option<&ResponseHeader>;

    fn digest(&self) -> &Digest;

    fn digest_mut(&mut self) -> &mut Digest;

    /// Writes a head, be it of an interim response or of the final one. A second final one is
    /// not written.
    fn write_head(&mut self, head: Box<ResponseHeader>);

    /// Writes a piece of the response's body. Returns how much of it belongs to the body.
    fn write_piece(&mut self, piece: Bytes) -> usize;

    /// Writes the trailers, which end the response.
    fn write_trailers(&mut self, trailers: HeaderMap);

    /// Nothing more is written.
    ///
    /// # Errors
    /// When the response is shorter than it says.
    fn end_response(&mut self) -> Result<(), Unfinished>;

    /// Whether the whole response was written.
    fn is_response_written(&self) -> bool;

    /// Whether the head may wait for the body that is about to be written.
    fn holds_head_back(&self) -> bool;

    /// So many pieces of the response have come, and are written before anything is sent.
    fn pieces_arrived(&mut self, count: usize);

    /// How much of what was written waits to be sent, in bytes.
    fn unsent(&self) -> usize;

    /// Sends what the client takes at once; whoever reads from it next sends the rest.
    ///
    /// # Errors
    /// When the client is gone.
    fn send_some(&mut self) -> io::Result<()>;

    /// Everything that was written is sent, or the client took too long.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Sends what was written, and ends what the exchange went on.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// The next piece of the request's body, or of a tunnel; `None` at its end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>>;

    /// Ready only when the client has gone or somebody took too long.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>>;

    /// Whether nothing is to come of the request's body.
    fn is_request_read(&self) -> bool;

    /// Whether the client asks for another protocol.
    fn asks_for_upgrade(&self) -> bool;

    /// Whether the exchange has become a tunnel.
    fn is_tunnel(&self) -> bool;

    /// Nothing more is read of a tunnel.
    fn end_tunnel(&mut self);

    /// The exchange cannot be followed by another.
    fn note_failure(&mut self);

    /// The exchange is over. `whole`: the client has its response whole, as far as the proxy can
    /// tell; `finished`: nobody had anything more to write.
    fn end(&mut self, whole: bool, finished: bool);
}
