//! One request of a client and its response. The context of the hooks owns it, and the
//! driver of the protocol holds it for as long as the exchange lasts: the hooks say what
//! is to become of it, the driver asks whether it is overdue whenever it waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::deadline::{Deadlines, Pace};
use super::upload::Upload;

/// A request and its response, as the hooks and the driver share them.
#[derive(Debug, Default)]
pub struct Exchange {
    pub deadlines: Deadlines,
    pub(super) upload: Upload,
    tunnel: AtomicBool,
    /// The client waits for 100 before it sends its body.
    continue_awaited: AtomicBool,
    /// The whole response was handed to the driver while the client had still to send some of
    /// its body.
    answered: AtomicBool,
    /// A server was asked for the response.
    forwarded: AtomicBool,
    /// The connection ends after the response.
    closes_connection: AtomicBool,
}

impl Exchange {
    /// Makes it that of the next request. Costs a connection's later requests no allocation.
    pub(super) fn reset(&mut self) {
        self.deadlines.reset();
        self.upload.reset();
        let Self { tunnel, continue_awaited, answered, forwarded, closes_connection, .. } = self;
        for flag in [tunnel, continue_awaited, answered, forwarded, closes_connection] {
            *flag.get_mut() = false;
        }
    }

    /// Another attempt to send the request begins. `send_limit`: how long Pingora tries to
    /// send one piece of its body.
    pub fn begin_upload(&self, send_limit: Option<Duration>) {
        self.forwarded.store(true, Ordering::Relaxed);
        self.upload.begin_attempt(send_limit);
    }

    /// The same bytes of the request's body, followed on their way to the upstream.
    pub fn follow(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.upload.piece_sent();
        Bytes::from_owner(TrackedBytes { bytes, exchange: Arc::clone(self) })
    }

    /// A WebSocket, another upgrade or an event stream: quiet by nature, so that nothing
    /// limits it but how long it may be idle.
    pub fn become_tunnel(&self, idle: Duration) {
        self.deadlines.set_request(None);
        self.deadlines.set_pace(Pace { write_idle: idle, min_rate: None });
        self.tunnel.store(true, Ordering::Relaxed);
    }

    /// The operator says that client and upstream are quiet for long by nature, before the
    /// response tells: each may be idle for this long.
    pub fn become_stream(&self, idle: Duration) {
        self.deadlines.set_request_body(idle);
        self.deadlines.set_response(Some(idle), Some(idle));
        self.deadlines.set_request(None);
        self.deadlines.remove_min_rate();
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// The client waits for 100 before it sends its body (RFC 9110 section 10.1.1).
    pub fn await_continue(&self) {
        self.continue_awaited.store(true, Ordering::Relaxed);
    }

    /// Whether the client has neither been told to send its body nor sent any of it.
    pub(super) fn is_continue_awaited(&self) -> bool {
        self.continue_awaited.load(Ordering::Relaxed)
    }

    /// The client was told to send its body, or sent some of it.
    pub(super) fn continued(&self) {
        self.continue_awaited.store(false, Ordering::Relaxed);
    }

    /// Nothing follows what the hooks have let pass of the response, and the client has still to
    /// send some of its body.
    pub fn end_response(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    pub fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Whether the client got a response in place of the 100 that it waited for.
    pub(super) fn is_answered_without_body(&self) -> bool {
        self.is_answered() && self.is_continue_awaited()
    }

    /// Whether a server was asked for the response.
    pub(super) fn is_forwarded(&self) -> bool {
        self.forwarded.load(Ordering::Relaxed)
    }

    /// The connection ends after the response, which has still to begin.
    pub fn close_connection(&self) {
        self.closes_connection.store(true, Ordering::Relaxed);
    }

    pub(super) fn closes_connection(&self) -> bool {
        self.closes_connection.load(Ordering::Relaxed)
    }
}

/// Made into `Bytes`, it tells the exchange when the last of them are dropped.
struct TrackedBytes {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl AsRef<[u8]> for TrackedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for TrackedBytes {
    fn drop(&mut self) {
        self.exchange.upload.piece_dropped();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Waker};
    use std::time::Instant;

    #[test]
    fn pieces_are_under_way_until_they_are_dropped() {
        let exchange = Arc::new(Exchange::default());
        let upload = &exchange.upload;
        let cx = Context::from_waker(Waker::noop());
        upload.begin_attempt(Some(Duration::from_secs(60)));
        let first = exchange.follow(Bytes::from_static(b"one"));
        assert_eq!((&first[..], upload.is_full(&cx), upload.taken_since()), (&b"one"[..], false, None));
        let (second, part) = (exchange.follow(Bytes::from_static(b"two")), first.slice(1..));
        assert!(upload.is_full(&cx));
        drop(first);
        assert!(upload.is_full(&cx));
        drop(part);
        assert!(!upload.is_full(&cx) && upload.taken_since().is_none());
        drop(second);
        assert!(upload.taken_since().is_some_and(|since| since <= Instant::now()) && !upload.is_given_up());
    }

    #[test]
    fn a_piece_that_is_dropped_too_late_was_given_up() {
        let exchange = Arc::new(Exchange::default());
        let upload = &exchange.upload;
        let send = |wait: u64| {
            let piece = exchange.follow(Bytes::from_static(b"x"));
            std::thread::park_timeout(Duration::from_millis(wait));
            piece
        };
        upload.begin_attempt(Some(Duration::from_millis(30)));
        drop(send(31));
        assert!(upload.is_given_up());
        drop(send(0));
        assert!(!upload.is_given_up());
        let held = send(31);
        upload.restart_clock();
        drop(held);
        assert!(!upload.is_given_up());
        upload.begin_attempt(None);
        drop(send(31));
        assert!(!upload.is_given_up());
    }

    #[test]
    fn an_exchange_that_is_reset_knows_nothing_of_the_request_before() {
        let mut exchange = Exchange::default();
        let second = Duration::from_secs(1);
        exchange.deadlines.set_request_body(second);
        exchange.deadlines.set_response(Some(second), Some(second));
        exchange.deadlines.set_request(Some(Instant::now() + second));
        exchange.begin_upload(Some(second));
        exchange.become_tunnel(second);
        exchange.await_continue();
        exchange.end_response();
        exchange.close_connection();
        exchange.reset();
        let deadlines = &exchange.deadlines;
        assert_eq!((deadlines.request_body(), deadlines.response(true), deadlines.request()), (None, None, None));
        assert_eq!((deadlines.write(), deadlines.min_rate()), (None, None));
        assert!(!exchange.is_tunnel() && !exchange.is_forwarded() && !exchange.closes_connection());
        assert!(!exchange.is_continue_awaited() && !exchange.is_answered());
    }
}
