//! Where a service is that the proxy itself asks.

use std::sync::Arc;

use pingora_http::RequestHeader;

use crate::upstream::Pool;

/// A service that the proxy itself asks.
#[derive(Debug)]
pub struct AskedService {
    pub pool: Arc<Pool>,
    /// What a request to it says in Host.
    pub host: String,
    /// Path and query.
    pub target: String,
}

impl AskedService {
    /// A request to it, for an answer of a type in `accept`.
    ///
    /// # Errors
    /// When its host or its target is none that Pingora can carry.
    pub fn request(&self, method: &str, accept: &str) -> pingora::Result<RequestHeader> {
        let mut request = RequestHeader::build(method, self.target.as_bytes(), Some(8))?;
        request.insert_header("Host", &self.host)?;
        request.insert_header("Accept", accept)?;
        request.insert_header("User-Agent", "pingora-proxy")?;
        Ok(request)
    }
}
