//! `protocol` of an upstream: which HTTP its servers are spoken to in.

use crate::config::section::words;

words! {
    /// Which HTTP a server is spoken to in.
    pub enum UpstreamProtocol {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2 over TLS; a server that does not select it is not used.
        Http2 = "http2",
        /// HTTP/2 without TLS, which the server is known to speak.
        H2c = "h2c",
        /// HTTP/2 or HTTP/1.1 over TLS, whichever the server selects.
        Auto = "auto",
    }
}

impl UpstreamProtocol {
    /// Whether requests may share a connection at the same time.
    pub fn is_maybe_http2(self) -> bool {
        match self {
            Self::Http1 => false,
            Self::Http2 | Self::H2c | Self::Auto => true,
        }
    }
}
