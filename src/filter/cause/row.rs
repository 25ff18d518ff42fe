//! What is declared of one cause.

use crate::telemetry::ErrorSource;

/// All of one cause.
pub struct Row {
    pub status: u16,
    /// The short word that logs, metrics and Proxy-Status share. It never changes.
    pub reason: &'static str,
    /// The error type of RFC 9209 section 2.3.
    pub proxy_status: &'static str,
    /// Whose fault it is.
    pub source: ErrorSource,
    /// A sentence for a person, without a capital and a full stop.
    pub message: &'static str,
    /// What to look at, for the operator.
    pub cure: &'static str,
}
