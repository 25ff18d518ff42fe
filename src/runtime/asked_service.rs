//! Where a service is that the proxy itself asks.

use std::sync::Arc;

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
