//! The timers by which a connection's driver learns that the exchange is overdue.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::deadline::Overdue;
use super::exchange::Exchange;
use super::timer::Timer;

/// How long a response is waited for once the upstream took no more of the request: it may
/// have sent one before, and Pingora looks for it only then.
const EARLY_RESPONSE: Duration = Duration::from_millis(100);

/// What the connection waits for while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    RequestBody,
    /// A response that the upstream may have sent before it took no more of the request.
    EarlyResponse,
    Response,
}

/// One timer for each direction, and one for the whole request.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// For what is `awaited`, or for the next request.
    read: Timer,
    awaited: Option<Awaited>,
    write: Timer,
    /// Whether the client has taken nothing since `write` was set.
    stalled: bool,
    request: Timer,
}

impl Timers {
    /// The next wait while reading begins anew.
    pub fn restart_read(&mut self) {
        self.awaited = None;
    }

    /// The client took some of the response: the next wait while writing begins anew.
    pub fn restart_write(&mut self) {
        self.stalled = false;
    }

    /// Waits for the next request, or for the rest of its head.
    pub fn set_next_request(&mut self, limit: Duration) {
        self.awaited = None;
        self.read.set(limit);
    }

    /// Ready once the time of [`Self::set_next_request`] is over.
    pub fn poll_next_request(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.read.poll(cx)
    }

    /// More of the request's body is waited for. `client_must_send` is false while the upstream
    /// still has some of it to take: Pingora then keeps the upstream's deadline, and the client
    /// has none.
    pub fn poll_request_body(
        &mut self,
        exchange: &Exchange,
        expects_head: bool,
        client_must_send: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Overdue> {
        if exchange.upload.is_given_up() {
            return self.poll_response(exchange, expects_head, cx);
        }
        match exchange.deadlines.request_body() {
            Some(limit) if client_must_send => {
                self.poll_read(Awaited::RequestBody, limit, cx).map(|()| Overdue::RequestBody)
            }
            Some(_) | None => Poll::Pending,
        }
    }

    /// The client has said all that the upstream takes, and waits. Pingora has one deadline
    /// for each read of a response, its head included, and sets a timer for it every time.
    pub fn poll_response(&mut self, exchange: &Exchange, expects_head: bool, cx: &mut Context<'_>) -> Poll<Overdue> {
        exchange.upload.register_waker(cx);
        if expects_head && exchange.upload.is_given_up() {
            return self.poll_read(Awaited::EarlyResponse, EARLY_RESPONSE, cx).map(|()| Overdue::Upload);
        }
        let Some(limit) = exchange.deadlines.response(expects_head) else {
            return Poll::Pending;
        };
        if exchange.deadlines.take_response_renewed() {
            self.restart_read();
        }
        ready!(self.poll_read(Awaited::Response, limit, cx));
        // The upstream has its time from when it had the whole request.
        let deadline = exchange.upload.taken_since().unwrap_or_else(Instant::now) + limit;
        if deadline > Instant::now() {
            self.read.set_to(deadline.into());
            ready!(self.read.poll(cx));
        }
        Poll::Ready(Overdue::Response)
    }

    fn poll_read(&mut self, awaited: Awaited, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.awaited != Some(awaited) {
            self.read.set(limit);
            self.awaited = Some(awaited);
        }
        self.read.poll(cx)
    }

    /// Ready once the time of the whole request is over. The driver asks when it has nothing
    /// else to hand on.
    pub fn poll_request(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Overdue> {
        let Some(deadline) = exchange.deadlines.request() else {
            return Poll::Pending;
        };
        self.request.set_to(deadline.into());
        self.request.poll(cx).map(|()| Overdue::Request)
    }

    /// A write to the client is pending.
    pub fn poll_write(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Overdue> {
        if self.poll_request(exchange, cx).is_ready() {
            return Poll::Ready(Overdue::Delivery);
        }
        let Some(limit) = exchange.deadlines.write() else {
            return Poll::Pending;
        };
        if !std::mem::replace(&mut self.stalled, true) {
            self.write.set(limit);
        }
        self.write.poll(cx).map(|()| Overdue::Write)
    }
}
