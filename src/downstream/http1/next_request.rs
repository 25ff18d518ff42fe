//! Waiting for a client's next request: total deadlines, so that a head sent byte by byte
//! holds a connection no longer than one that is not sent at all.

use std::future::poll_fn;
use std::io;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora_timeout::timeout;
use tokio::task::unconstrained;

use super::connection::Connection;
use super::request_head::{Head, HeadLimits};
use crate::downstream::connection::Activity;
use crate::downstream::linger::linger;
use crate::downstream::malformed::Malformed;
use crate::downstream::session::DRAIN_LIMIT;
use crate::exchange::Pace;

/// How long a client has.
#[derive(Clone, Copy, Debug)]
pub struct HeadTimeouts {
    /// Until the first byte of a request.
    pub idle: Duration,
    /// From its first byte to the end of its head.
    pub head: Duration,
}

/// What came of waiting.
#[derive(Debug)]
pub enum Arrival {
    Request(Head),
    /// The client closed, kept silent, or kept back the rest of the body before.
    Gone,
    /// It began a request and did not finish its head in time.
    TooSlow,
    Malformed(Malformed),
}

impl Connection {
    /// Waits for a whole head. `pace`: of the client in the exchange that begins with it, be
    /// the head well-formed or not. A connection whose last body was not read to its end has no further request.
    pub fn next_request(
        &mut self,
        timeouts: HeadTimeouts,
        pace: Pace,
        limits: HeadLimits,
    ) -> impl Future<Output = Arrival> {
        // What comes before the wait is done before it: the wait may be a long one, and keeps no place for it.
        self.renew_exchange(pace);
        let mut idle = self.waiting().is_empty();
        self.set_activity(if idle { Activity::Idle } else { Activity::Request });
        let mut begun = match (self.is_body_read(), idle) {
            (false, _) => Some(Arrival::Gone),
            (true, true) => None,
            (true, false) => self.try_begin_request(limits),
        };
        if begun.is_none() {
            self.shrink();
            self.waits.timers.set_next_request(if idle { timeouts.idle } else { timeouts.head });
        }
        poll_fn(move |cx| {
            if let Some(arrival) = begun.take() {
                return Poll::Ready(arrival);
            }
            while let Poll::Ready(read) = self.poll_fill(cx) {
                if !matches!(read, Ok(1..)) {
                    return Poll::Ready(Arrival::Gone);
                }
                self.set_activity(Activity::Request);
                if let Some(arrival) = self.try_begin_request(limits) {
                    return Poll::Ready(arrival);
                }
                if std::mem::take(&mut idle) {
                    self.waits.timers.set_next_request(timeouts.head);
                }
            }
            self.waits.timers.poll_next_request(cx).map(|()| if idle { Arrival::Gone } else { Arrival::TooSlow })
        })
    }

    /// Whether the body of the last request was read to its end.
    pub fn is_body_read(&self) -> bool {
        self.body.is_done()
    }

    /// Reads what nobody has read of that body; whether it has come to its end.
    pub async fn drain_body(&mut self) -> bool {
        let drained = poll_fn(|cx| {
            while ready!(self.poll_body(cx))?.is_some() {}
            Poll::Ready(Ok::<_, io::Error>(()))
        });
        matches!(timeout(DRAIN_LIMIT, drained).await, Ok(Ok(())))
    }

    /// `None` while the head is not whole.
    fn try_begin_request(&mut self, limits: HeadLimits) -> Option<Arrival> {
        // RFC 9112 section 2.2: empty lines in front of a request are ignored.
        while self.waiting().starts_with(b"\r\n") {
            self.input.skip(2);
        }
        match Head::read(self.waiting(), limits) {
            Ok(None) => None,
            Ok(Some(head)) => {
                self.begin_request(&head);
                Some(Arrival::Request(head))
            }
            Err(malformed) => Some(Arrival::Malformed(malformed)),
        }
    }

    /// Sends a last reply, for as long in all as a client may take nothing of one, and closes the
    /// connection so that the client can read it.
    ///
    /// # Errors
    /// When the client is gone, or does not take the reply.
    pub async fn end_with(&mut self, reply: Bytes) -> io::Result<()> {
        self.waits
            .exchange
            .deadlines
            .set_request(self.waits.exchange.deadlines.write().map(|idle| Instant::now() + idle));
        self.output.push(reply);
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// Closes the connection after its last response.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn close(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await?;
        let has_sent_all = self.body.is_done() && self.waiting().is_empty();
        let is_quiet = has_sent_all && unconstrained(poll_fn(|cx| Poll::Ready(self.poll_fill(cx).is_pending()))).await;
        if is_quiet { Ok(()) } else { self.linger().await }
    }

    /// Reads on for a while, so that the client sees the reply before it hears that nobody reads what it sends.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn linger(&mut self) -> io::Result<()> {
        self.input.skip(self.waiting().len());
        linger(&mut self.stream).await
    }
}
