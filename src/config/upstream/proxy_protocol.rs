//! `proxy_protocol` of an upstream: whether its servers are told of the client by the PROXY protocol.

use crate::config::section::words;

words! {
    /// What a connection to a server begins with.
    pub enum SendProxy {
        /// With the request.
        Off = "off",
        /// With a line that names the client.
        V1 = "v1",
        /// With a binary header that names the client.
        V2 = "v2",
    }
}
