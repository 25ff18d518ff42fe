//! What a driver waits for in an exchange, whatever the protocol: the deadlines that it keeps, and
//! the end that the process may put to a tunnel.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::registry::{Registration, TunnelsEnd};
use super::timers::Timers;
use crate::exchange::{BodyRefused, Exchange, Overdue, Pace};

/// The waits of one exchange after the other.
#[derive(Debug)]
pub(super) struct Waits {
    /// The present one, or the one before while there is none.
    pub exchange: Arc<Exchange>,
    pub timers: Timers,
    /// Whether the response has still to begin.
    pub expects_head: bool,
    /// Counts the connection until it is dropped.
    registration: Arc<Registration>,
    /// `None` until the exchange is a tunnel or an event stream and had to wait.
    tunnels_end: Option<TunnelsEnd>,
}

impl Waits {
    pub fn new(exchange: Arc<Exchange>, registration: Arc<Registration>) -> Self {
        Self { exchange, timers: Timers::default(), expects_head: true, registration, tunnels_end: None }
    }

    /// Makes an exchange for the next request: the same one, unless somebody still holds
    /// that of the request before.
    pub fn renew(&mut self, pace: Pace) {
        match Arc::get_mut(&mut self.exchange) {
            Some(exchange) => exchange.reset(),
            None => self.exchange = Arc::default(),
        }
        self.exchange.deadlines.set_pace(pace);
        self.tunnels_end = None;
        self.timers.renew();
    }

    /// Whether the upstream has room for more of the request's body.
    pub fn upload_has_room(&self, cx: &Context<'_>) -> bool {
        !self.exchange.upload.is_full(cx) && !self.exchange.upload.is_given_up()
    }

    /// What was read of the request's body, while that is no larger than it may be: a piece with
    /// which it is goes nowhere, and the upstream never takes what it had for the whole.
    pub fn body_read(&self, read: io::Result<Option<Bytes>>) -> io::Result<Option<Bytes>> {
        self.exchange.continued();
        let piece = read?;
        if self.exchange.limits.take_of_body(piece.as_ref().map_or(0, Bytes::len)) {
            return Ok(piece);
        }
        self.exchange.upload.give_up();
        Err(to_io(BodyRefused::TooLarge))
    }

    /// Whether the client has its response and nobody takes the rest of its body.
    pub fn is_upload_unwanted(&self) -> bool {
        self.exchange.is_answered() && self.exchange.upload.is_given_up()
    }

    /// More of the request's body is waited for. Ready once that took too long.
    pub fn poll_request_body(&mut self, client_must_send: bool, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Some(refused) = self.exchange.limits.refused() {
            return Poll::Ready(to_io(refused));
        }
        let overdue = self.timers.poll_request_body(&self.exchange, self.expects_head, client_must_send, cx);
        overdue.map(io::Error::from)
    }

    /// Something is waited for that goes through a tunnel. `is_held_up`: something is on its way
    /// to one side, which has a deadline for that. Ready once that took too long.
    pub fn poll_tunnel(&mut self, is_held_up: bool, cx: &mut Context<'_>) -> Poll<io::Error> {
        if is_held_up {
            self.timers.restart_read();
            return Poll::Pending;
        }
        self.timers.poll_tunnel(&self.exchange, cx).map(io::Error::from)
    }

    /// Nothing is waited for but the upstream. Ready once that took too long, which it does not
    /// while the client holds it up.
    pub fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if let Some(refused) = self.exchange.limits.refused() {
            return Poll::Ready(to_io(refused));
        }
        if self.exchange.download.is_full() {
            self.timers.restart_read();
            return Poll::Pending;
        }
        self.timers.poll_response(&self.exchange, self.expects_head, cx).map(io::Error::from)
    }

    /// Nothing is waited for but the end of the whole request. Ready once that is overdue.
    pub fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.timers.poll_request(&self.exchange, cx).map(io::Error::from)
    }

    /// The client does not take what is written, after it took `taken` bytes of it. Ready once it
    /// took too long.
    pub fn poll_stalled(&mut self, taken: usize, cx: &mut Context<'_>) -> Poll<io::Error> {
        if taken > 0 {
            self.timers.response_taken(taken);
        }
        if self.exchange.download.is_cut() || self.poll_tunnels_end(cx).is_ready() {
            return Poll::Ready(Overdue::Tunnel.into());
        }
        Poll::Ready(ready!(self.timers.poll_write(&self.exchange, cx)).into())
    }

    /// Whether the tunnel has to end. Each side sees that as if the other side had closed it.
    pub fn poll_cut(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.exchange.download.is_cut() && self.poll_tunnels_end(cx).is_ready() {
            self.exchange.download.cut();
        }
        self.exchange.download.is_cut()
    }

    /// Ready once tunnels and event streams have to end, if this is one.
    pub fn poll_tunnels_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.exchange.is_tunnel() {
            return Poll::Pending;
        }
        self.tunnels_end.get_or_insert_with(|| self.registration.tunnels_end()).poll(cx)
    }
}

fn to_io(refused: BodyRefused) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, refused)
}
