//! An upstream's `timeouts`: how long its servers may take.

use std::time::Duration;

use crate::config::section::{Form, or_word, section};
use crate::config::value::DURATION;

/// A duration, or `none`.
fn deadline() -> impl Form<Option<Duration>> {
    or_word("none", "No deadline.", DURATION)
}

section! {
    /// How long the servers may take; `none` is no deadline.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "an upstream's `timeouts`" pub struct UpstreamTimeouts {
        /// To connect, with the TLS handshake.
        connect: Option<Duration> = "3s", with deadline();
        /// From the last byte of a request to the whole head of its response; then 504.
        response_header: Option<Duration> = "60s", with deadline();
        /// Between two pieces of a response. In tunnels, event streams and routes with `stream`, `tunnel_idle` holds instead.
        read_idle: Option<Duration> = "60s", with deadline();
        /// Between two writes of a request's body, of which the kernel takes up to a few megabytes at a time; then 504.
        write_idle: Option<Duration> = "60s", with deadline();
        /// From a request's head to the last byte of its response, over all tries; then 504. Not for tunnels, event streams and routes with `stream`.
        request: Option<Duration> = "none", with deadline();
        /// How long an idle connection is kept.
        pool_idle: Option<Duration> = "55s", with deadline();
    }
}
