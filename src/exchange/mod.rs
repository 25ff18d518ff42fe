//! One request of a client and its response, as both sides of the proxy share them. The
//! context of the hooks owns the [`Exchange`]; the drivers of the client's and of the upstream's
//! connection hold it for as long as it lasts. The hooks say what is to become of it, the drivers
//! ask whether it is overdue whenever they wait, and tell each other how much of either body is
//! under way, so that neither direction ever waits for the other.

mod deadline;
mod download;
mod given_up;
mod limits;
mod no_messages;
mod timer;
mod upload;
mod window;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use deadline::{Deadlines, Overdue, Pace};
use download::Download;
pub use given_up::GivenUp;
use given_up::LastWord;
pub use limits::{BodyRefused, ExchangeLimits};
use no_messages::NoMessages;
pub use timer::Timer;
use upload::Upload;

/// A request and its response, as the hooks and the drivers share them.
#[derive(Debug, Default)]
pub struct Exchange {
    pub deadlines: Deadlines,
    pub limits: ExchangeLimits,
    /// The request's body, on its way to the upstream.
    pub upload: Upload,
    /// The response's body, on its way to the client.
    pub download: Download,
    /// For the case that nobody finishes it.
    pub last_word: LastWord,
    tunnel: AtomicBool,
    /// The client waits for 100 before it sends its body.
    continue_awaited: AtomicBool,
    /// The whole response was handed to the driver while the client had still to send some of
    /// its body.
    answered: AtomicBool,
    /// The head of a response has come from the server.
    responded: AtomicBool,
    /// The connection ends after the response.
    closes_connection: AtomicBool,
}

impl Exchange {
    /// Makes it that of the next request. Costs a connection's later requests no allocation.
    pub fn reset(&mut self) {
        self.deadlines.reset();
        self.limits.reset();
        self.upload.reset();
        self.download.begin_attempt();
        self.last_word = LastWord::default();
        let Self { tunnel, continue_awaited, answered, responded, closes_connection, .. } = self;
        for flag in [tunnel, continue_awaited, answered, responded, closes_connection] {
            *flag.get_mut() = false;
        }
    }

    /// Another attempt to send the request begins.
    pub fn begin_attempt(&self) {
        self.upload.begin_attempt();
        self.download.begin_attempt();
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

    pub fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// The client waits for 100 before it sends its body (RFC 9110 section 10.1.1).
    pub fn await_continue(&self) {
        self.continue_awaited.store(true, Ordering::Relaxed);
    }

    /// Whether the client has neither been told to send its body nor sent any of it.
    pub fn is_continue_awaited(&self) -> bool {
        self.continue_awaited.load(Ordering::Relaxed)
    }

    /// The client was told to send its body, or sent some of it.
    pub fn continued(&self) {
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
    pub fn is_answered_without_body(&self) -> bool {
        self.is_answered() && self.is_continue_awaited()
    }

    /// The head of a response has come, be it an interim one.
    pub fn begin_response(&self) {
        self.responded.store(true, Ordering::Relaxed);
    }

    /// What there is of messages beside the bodies, for who polls them in the task that reads the
    /// response.
    pub fn messages(self: &Arc<Self>) -> NoMessages<Self> {
        NoMessages::until(Arc::clone(self), Self::has_response)
    }

    /// Whether the head of a response has come, in this attempt or in one before.
    pub fn has_response(&self) -> bool {
        self.responded.load(Ordering::Relaxed)
    }

    /// The connection ends after the response, which has still to begin.
    pub fn close_connection(&self) {
        self.closes_connection.store(true, Ordering::Relaxed);
    }

    pub fn closes_connection(&self) -> bool {
        self.closes_connection.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::limits::MOST_RESPONSE_HEAD;
    use super::*;
    use std::time::Instant;

    #[test]
    fn an_exchange_that_is_reset_knows_nothing_of_the_request_before() {
        let mut exchange = Exchange::default();
        let second = Duration::from_secs(1);
        exchange.deadlines.set_request_body(second);
        exchange.deadlines.set_response(Some(second), Some(second));
        exchange.deadlines.set_request(Some(Instant::now() + second));
        exchange.begin_attempt();
        exchange.upload.give_up();
        exchange.become_tunnel(second);
        exchange.await_continue();
        exchange.begin_response();
        exchange.end_response();
        exchange.close_connection();
        exchange.limits.refuse_body();
        exchange.limits.set_response_head(7);
        exchange.reset();
        let deadlines = &exchange.deadlines;
        assert_eq!((deadlines.request_body(), deadlines.response(true), deadlines.request()), (None, None, None));
        assert_eq!((deadlines.write(), deadlines.min_rate()), (None, None));
        assert!(!exchange.is_tunnel() && !exchange.closes_connection() && !exchange.has_response());
        assert!(!exchange.is_continue_awaited() && !exchange.is_answered());
        assert_eq!((exchange.limits.refused(), exchange.limits.response_head()), (None, MOST_RESPONSE_HEAD));
    }
}
