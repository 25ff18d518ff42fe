//! `concurrency`: how many requests of a route may be at its upstream at the same time.

use std::time::Duration;

use crate::config::section::{number, or_word, section};
use crate::config::yaml::Invalid;

section! {
    /// How many requests of this route may be at its upstream at the same time. A request counts from when it would be sent to the end of the upstream's response; a WebSocket, another upgrade or an event stream only until it begins.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`concurrency`" pub struct Concurrency {
        /// Requests at the same time; further ones wait in the queue, or get 503 with Retry-After.
        max: Option<u32>, required "512", with or_word("auto", "As many as the upstream serves without making them wait: found and kept by the time that it takes to answer.", number(1..=1_000_000_u32));
        /// Requests that may wait.
        queue: usize = 0, in 0..=1_000_000;
        /// How long a request waits in the queue; then 503.
        queue_timeout: Duration = "1s";
    }
    no_effect Concurrency::no_effect;
}

impl Concurrency {
    fn no_effect(&self, key: &str) -> Option<Invalid> {
        (key == "queue_timeout" && self.queue == 0)
            .then(|| Invalid::new("`queue_timeout` has no effect without `queue`"))
    }
}
