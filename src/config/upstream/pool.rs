//! `pool`: connections to the servers, and requests that wait for one.

use std::time::Duration;

use crate::config::section::{number, or_word, section};
use crate::config::yaml::Invalid;

section! {
    /// Connections to the servers, and requests that wait for one.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`pool`" pub struct Pool {
        /// Idle connections that each thread keeps, in room that all upstreams share; 0 closes each after its request.
        max_idle: Option<usize> = "auto", with or_word("auto", "128, or two for each server if that is more.", number(0..=65535_usize));
        /// Requests that each server gets at once. Further ones wait in the queue, or get 503.
        max_connections: Option<u32> = "unlimited", with or_word("unlimited", "No bound.", number(1..=1_000_000_u32));
        /// Requests that may wait while all servers are at `max_connections`.
        queue: usize = 0, in 0..=1_000_000;
        /// How long a request waits in the queue; then 503.
        queue_timeout: Duration = "5s";
    }
    no_effect Pool::no_effect;
}

impl Pool {
    fn no_effect(&self, key: &str) -> Option<Invalid> {
        match key {
            "queue" if self.max_connections.is_none() && self.queue > 0 => Some(Invalid::with_help(
                "`queue` has no effect without `max_connections`",
                "nothing waits where nothing is limited",
            )),
            "queue_timeout" if self.queue == 0 => Some(Invalid::new("`queue_timeout` has no effect without `queue`")),
            _ => None,
        }
    }
}
