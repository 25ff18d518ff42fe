//! `timeouts`: how long a client may take.

use std::num::NonZeroU64;
use std::time::Duration;

use super::section::{optional, or_word, section};
use super::value::RATE;

section! {
    /// How long a client may take.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`timeouts`" pub struct ClientTimeouts {
        /// From the first byte of a request to the end of its head; then 408. Also how long a new connection may be silent.
        request_header: Duration = "10s";
        /// Since the last byte of a request's body; then 408.
        request_body_idle: Duration = "60s";
        /// How long a client may read nothing of a response; then the connection is closed.
        write_idle: Duration = "60s";
        /// How fast a client must send a request's body (else 408) and read a response (else the connection is closed). Only the time in which the proxy waits for the client counts. The first 30 s are free, and a client that was faster may pause: for 30 s, or for as long as 128 KiB take at this rate. Does not apply to WebSockets, other upgrades, event streams and routes with `stream`.
        min_rate: Option<NonZeroU64> = "1KiB/s", with or_word("none", "A client may be as slow as it likes.", RATE);
        /// How long a connection may be idle between two requests.
        keepalive: Duration = "75s";
        /// How long a WebSocket, another upgrade or an event stream may be silent in both directions.
        tunnel_idle: Duration = "1h";
        /// How long a TLS handshake may take, from the moment that the client may begin with it; then the connection is closed.
        tls_handshake: Duration = "10s";
        /// How long a connection of HTTP/2 may have no stream.
        h2_idle: Duration = "75s";
    }
}

section! {
    /// Deadlines of this route in the place of the `timeouts` of the whole file.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    "a route's `timeouts`" pub struct RouteTimeouts {
        /// As `timeouts.request_body_idle`.
        request_body_idle: Option<Duration>;
        /// As `timeouts.write_idle`.
        write_idle: Option<Duration>;
        /// As `timeouts.min_rate`.
        min_rate: Option<Option<NonZeroU64>>, with optional(or_word("none", "A client may be as slow as it likes.", RATE));
        /// As `timeouts.tunnel_idle`.
        tunnel_idle: Option<Duration>;
    }
}

impl ClientTimeouts {
    /// Those that hold for a route; `None` where they are the same.
    pub fn for_route(&self, route: &RouteTimeouts) -> Option<Self> {
        let RouteTimeouts { request_body_idle, write_idle, min_rate, tunnel_idle } = route;
        let own = Self {
            request_body_idle: request_body_idle.unwrap_or(self.request_body_idle),
            write_idle: write_idle.unwrap_or(self.write_idle),
            min_rate: min_rate.unwrap_or(self.min_rate),
            tunnel_idle: tunnel_idle.unwrap_or(self.tunnel_idle),
            ..self.clone()
        };
        (own != *self).then_some(own)
    }
}
