//! The timers by which a connection's driver learns that the exchange is overdue.

use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::wait_budget::WaitBudget;
use crate::exchange::{Exchange, Overdue, Timer};

/// How long a client that has the whole response may keep back the rest of its body.
const AFTER_RESPONSE: Duration = Duration::from_secs(5);

/// How long a client that has closed its direction may wait for its response to begin: it may
/// have left.
const HALF_CLOSED: Duration = Duration::from_secs(5);

/// How often a client is looked at of whom so much has arrived that it is not read on.
const LOOK: Duration = Duration::from_millis(500);

/// What the connection waits for while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    /// The client's body; this is overdue when the time for that is over.
    RequestBody(Overdue),
    Response,
}

/// The timers of one exchange after the other.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// For what is `awaited`, or for the next request.
    read: Timer,
    awaited: Option<Awaited>,
    /// What is overdue when the timer of writing fires; `None` unless the client has taken nothing since
    /// it was set.
    stalled: Option<Overdue>,
    is_half_closed: bool,
    /// Those that a request of few bytes and its response do without, made when one is needed: a connection
    /// that waits for years keeps no place for them.
    further: Option<Box<FurtherTimers>>,
}

/// One for writing, one for the whole request, and two for a client that may have left.
#[derive(Debug, Default)]
struct FurtherTimers {
    /// For sending the body.
    upload: WaitBudget,
    write: Timer,
    /// For taking the response.
    download: WaitBudget,
    request: Timer,
    /// For a client that sends nothing more.
    half_closed: Timer,
    /// For a client that is not read.
    look: Timer,
}

impl Timers {
    /// Another exchange begins.
    pub fn renew(&mut self) {
        self.stalled = None;
        self.is_half_closed = false;
        if let Some(further) = &mut self.further {
            (further.upload, further.download) = Default::default();
        }
    }

    fn further(&mut self) -> &mut FurtherTimers {
        self.further.get_or_insert_default()
    }

    /// The next wait while reading begins anew.
    pub fn restart_read(&mut self) {
        if let (Some(Awaited::RequestBody(_)), Some(further)) = (self.awaited.take(), &mut self.further) {
            further.upload.pause();
        }
    }

    /// The client sent so much of its body: the next wait while reading begins anew.
    pub fn body_arrived(&mut self, bytes: usize) {
        self.restart_read();
        self.further().upload.moved(count(bytes));
    }

    /// The client is not waited for: the next wait while writing begins anew.
    pub fn restart_write(&mut self) {
        if let (Some(_), Some(further)) = (self.stalled.take(), &mut self.further) {
            further.download.pause();
        }
    }

    /// The client took so much of the response: the next wait while writing begins anew.
    pub fn response_taken(&mut self, bytes: usize) {
        self.restart_write();
        self.further().download.moved(count(bytes));
    }

    /// Waits for the next request, or for the rest of its head.
    pub fn set_next_request(&mut self, limit: Duration) {
        self.restart_read();
        self.read.set(limit);
    }

    /// Ready once the time of [`Self::set_next_request`] is over.
    pub fn poll_next_request(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.read.poll(cx)
    }

    /// More of the request's body is waited for. `client_must_send` is false while the upstream
    /// still has some of it to take: its driver then keeps the deadline, and the client has none.
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
            Some(limit) if client_must_send => self.poll_client(exchange, limit, cx),
            Some(_) | None => Poll::Pending,
        }
    }

    /// Something is waited for that goes through a tunnel.
    pub fn poll_tunnel(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Overdue> {
        match exchange.deadlines.request_body() {
            Some(limit) => self.poll_client(exchange, limit, cx),
            None => Poll::Pending,
        }
    }

    /// Ready once a client that has closed its direction has waited for long enough.
    pub fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.is_half_closed, true) {
            self.further().half_closed.set(HALF_CLOSED);
        }
        self.further().half_closed.poll(cx)
    }

    /// Wakes the task when it is time to look again whether a client is there that is not read.
    pub fn look_again(&mut self, cx: &mut Context<'_>) {
        let look = &mut self.further().look;
        look.set(LOOK);
        if look.poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    /// The client has to send more of its body, within `limit`.
    fn poll_client(&mut self, exchange: &Exchange, limit: Duration, cx: &mut Context<'_>) -> Poll<Overdue> {
        let overdue = match self.awaited {
            Some(Awaited::RequestBody(overdue)) => overdue,
            Some(Awaited::Response) | None => self.await_client(exchange, limit),
        };
        self.read.poll(cx).map(|()| overdue)
    }

    fn await_client(&mut self, exchange: &Exchange, limit: Duration) -> Overdue {
        let answered = exchange.is_answered();
        let most = if answered { AFTER_RESPONSE } else { Duration::MAX };
        let limit = limit.min(most);
        // Who waits for 100 waits for the upstream.
        let rate = exchange.deadlines.min_rate().filter(|_| !exchange.is_continue_awaited());
        let allowed = rate.map_or(limit, |rate| self.further().upload.begin(rate, most));
        let overdue = match (answered, allowed < limit) {
            (true, _) => Overdue::RestOfBody,
            (false, true) => Overdue::RequestRate,
            (false, false) => Overdue::RequestBody,
        };
        self.read.set(allowed.min(limit));
        self.awaited = Some(Awaited::RequestBody(overdue));
        overdue
    }

    /// The client has said all that the upstream takes, and waits.
    pub fn poll_response(&mut self, exchange: &Exchange, expects_head: bool, cx: &mut Context<'_>) -> Poll<Overdue> {
        let Some(limit) = exchange.deadlines.response(expects_head) else {
            return Poll::Pending;
        };
        if exchange.deadlines.take_response_renewed() {
            self.restart_read();
        }
        ready!(self.poll_awaited_response(limit, cx));
        // The upstream has its time from when it had the whole request.
        let deadline = exchange.upload.taken_since().unwrap_or_else(Instant::now) + limit;
        if deadline > Instant::now() {
            self.read.set_to(deadline.into());
            ready!(self.read.poll(cx));
        }
        Poll::Ready(Overdue::Response)
    }

    fn poll_awaited_response(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.awaited != Some(Awaited::Response) {
            self.restart_read();
            self.read.set(limit);
            self.awaited = Some(Awaited::Response);
        }
        self.read.poll(cx)
    }

    /// Ready once the time of the whole request is over. The driver asks when it has nothing
    /// else to hand on.
    pub fn poll_request(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Overdue> {
        let Some(deadline) = exchange.deadlines.request() else {
            return Poll::Pending;
        };
        let request = &mut self.further().request;
        request.set_to(deadline.into());
        request.poll(cx).map(|()| Overdue::Request)
    }

    /// A write to the client is pending.
    pub fn poll_write(&mut self, exchange: &Exchange, cx: &mut Context<'_>) -> Poll<Overdue> {
        if self.poll_request(exchange, cx).is_ready() {
            return Poll::Ready(Overdue::Delivery);
        }
        let Some(limit) = exchange.deadlines.write() else {
            return Poll::Pending;
        };
        let further = self.further.get_or_insert_default();
        let overdue = *self.stalled.get_or_insert_with(|| {
            let rate = exchange.deadlines.min_rate();
            let allowed = rate.map_or(limit, |rate| further.download.begin(rate, Duration::MAX));
            further.write.set(allowed.min(limit));
            if allowed < limit { Overdue::ResponseRate } else { Overdue::Write }
        });
        further.write.poll(cx).map(|()| overdue)
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
