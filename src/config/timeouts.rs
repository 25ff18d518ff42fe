//! `timeouts`: how long a client may take.

use std::num::NonZeroU64;
use std::time::Duration;

use super::section::{or_word, section};
use super::value::RATE;

section! {
    /// How long a client may take.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`timeouts`" pub struct ClientTimeouts {
        /// From the first byte of a request to the end of its head; then 408. Also how long a new connection may be silent.
        request_header: Duration = "10s";
        /// Since the last byte of a request's body; then 408.
        request_body_idle: Duration = "60s";
        /// How long a client may take nothing of a response, be it the upstream's or our own; then the connection is closed.
        write_idle: Duration = "60s";
        /// How fast a client has to send a request's body, else 408, and to take a response, else the connection is closed. Only the time counts in which the client is waited for, and it has 30 s to begin with; whoever is faster saves up for a pause, of 30 s or of what 128 KiB take at this rate. Not for WebSockets, other upgrades, event streams and routes with `stream`.
        min_rate: Option<NonZeroU64> = "1KiB/s", with or_word("none", "A client may be as slow as it likes.", RATE);
        /// How long a connection may be idle between two requests.
        keepalive: Duration = "75s";
        /// How long a WebSocket, another upgrade or an event stream may be silent in both directions.
        tunnel_idle: Duration = "1h";
    }
    later { tls_handshake, h2_idle }
}
