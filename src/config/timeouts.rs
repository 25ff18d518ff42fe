//! `timeouts`: how long a client may take.

use std::time::Duration;

use super::section::section;

section! {
    /// How long a client may take.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`timeouts`" pub struct ClientTimeouts {
        /// From the first byte of a request to the end of its head; then 408. Also how long a new connection may be silent.
        request_header: Duration = "10s";
        /// Since the last byte of a request's body; then 408.
        request_body_idle: Duration = "60s";
        /// How long a connection may be idle between two requests.
        keepalive: Duration = "75s";
        /// How long a WebSocket, another upgrade or an event stream may be silent in both directions.
        tunnel_idle: Duration = "1h";
    }
    later { min_rate, write_idle, tls_handshake, h2_idle }
}
