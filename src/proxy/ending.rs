//! How a request ended, for everybody who is told of it.

use std::time::{Duration, Instant};

use pingora_http::RequestHeader;

use super::context::RequestCtx;
use crate::downstream::ClientConnection;
use crate::exchange::GivenUp;

#[derive(Debug)]
pub struct Ending<'r> {
    pub request: &'r RequestHeader,
    pub connection: &'r ClientConnection,
    /// What the client got, or 0 where that was nothing.
    pub status: u16,
    /// Of the request's body.
    pub bytes_in: u64,
    /// Of the response's body.
    pub bytes_out: u64,
    pub at: Instant,
    /// From the head of the request on.
    pub duration: Duration,
}

impl<'r> Ending<'r> {
    /// That of a request which ends now.
    pub fn new(seen: &GivenUp<'r>, connection: &'r ClientConnection, ctx: &RequestCtx) -> Self {
        let at = Instant::now();
        Self {
            request: seen.request,
            connection,
            status: seen.status.or_else(|| ctx.failure.map(|cause| cause.status())).unwrap_or(0),
            bytes_in: count(seen.bytes_in),
            bytes_out: count(seen.bytes_out),
            at,
            duration: at.saturating_duration_since(ctx.started),
        }
    }
}

pub fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
