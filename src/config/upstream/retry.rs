//! `retry`: when a request is tried again, at another server if there is one.

use http::StatusCode;

use crate::config::section::{Value, list, section, words};
use crate::config::value::{PERCENT, sizes, statuses};
use crate::config::yaml::Invalid;

section! {
    /// When a request is tried again, at another server if there is one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`retry`" pub struct Retry {
        /// Attempts in total; 1 means no retry. A server that cannot be connected to is skipped and does not count.
        attempts: u32 = 2, in 1..=10;
        /// Which failures are retried.
        on: Vec<RetryReason> = ["connect", "reset", "timeout"], with list("words such as `connect`", RetryReason::form());
        /// Which requests are retried after they have been sent. POST and PATCH never are.
        methods: RetryMethods = "idempotent";
        /// Statuses that are retried.
        statuses: Vec<StatusCode> = [], with statuses();
        /// Retries in percent of the requests of the last seconds.
        budget: u8 = "20%", with PERCENT;
        /// Bytes of a request's body that are kept for a retry, at most 64KiB; a request with a longer body is not tried again.
        body_buffer: usize = "64KiB", with sizes(0..=MOST_BUFFERED);
    }
    no_effect Retry::no_effect;
}

/// Pingora keeps at most this much of a body.
const MOST_BUFFERED: usize = 64 << 10;

words! {
    /// What a request is tried again after.
    pub enum RetryReason {
        /// The server could not be connected to.
        Connect = "connect",
        /// The connection ended before a response.
        Reset = "reset",
        /// The response did not come in time.
        Timeout = "timeout",
    }
}

words! {
    /// Requests that may be sent again once they were sent.
    pub enum RetryMethods {
        /// Those that may be repeated without harm (RFC 9110 section 9.2.2).
        Idempotent = "idempotent",
        /// Those that change nothing (RFC 9110 section 9.2.1).
        Safe = "safe",
    }
}

impl Retry {
    pub fn is_on(&self, reason: RetryReason) -> bool {
        self.on.contains(&reason)
    }

    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let has_no_effect = self.attempts == 1 && key != "attempts";
        has_no_effect.then(|| Invalid::new(format!("`{key}` has no effect with `attempts: 1`")))
    }
}
