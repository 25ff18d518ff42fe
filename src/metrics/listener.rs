//! The figures of one listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::Counter;

/// What becomes of a connection before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeOutcome {
    /// TLS was established.
    Ok,
    /// The handshake failed.
    Failed,
    /// It took too long.
    Timeout,
    /// Plain HTTP came, or something else that is not TLS.
    NotTls,
}

impl HandshakeOutcome {
    pub const ALL: [Self; 4] = [Self::Ok, Self::Failed, Self::Timeout, Self::NotTls];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::NotTls => "not_tls",
        }
    }
}

/// What is counted of a listener, from one configuration to the next.
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    accepted: Counter,
    closed: Counter,
    requests_begun: Counter,
    requests_ended: Counter,
    handshakes: [AtomicU64; 4],
    proxy_headers_refused: AtomicU64,
    http2_connections: Counter,
    http2_streams: Counter,
}

/// A connection that is counted.
#[derive(Debug)]
pub struct OpenConnection(Arc<ListenerMetrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed.increment();
    }
}

impl ListenerMetrics {
    /// Counts a connection until what it returns is dropped.
    pub fn open(self: &Arc<Self>) -> OpenConnection {
        self.accepted.increment();
        OpenConnection(Arc::clone(self))
    }

    pub fn request_begins(&self) {
        self.requests_begun.increment();
    }

    pub fn request_ends(&self) {
        self.requests_ended.increment();
    }

    pub fn handshake(&self, outcome: HandshakeOutcome) {
        self.handshakes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn proxy_header_refused(&self) {
        self.proxy_headers_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub fn http2_connection(&self) {
        self.http2_connections.increment();
    }

    pub fn http2_stream(&self) {
        self.http2_streams.increment();
    }

    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// The connections at the moment.
    pub fn active(&self) -> u64 {
        // What ends meanwhile has begun before: the ends are read first.
        let closed = self.closed.get();
        self.accepted.get().saturating_sub(closed)
    }

    pub fn requests_in_flight(&self) -> u64 {
        let ended = self.requests_ended.get();
        self.requests_begun.get().saturating_sub(ended)
    }

    pub fn handshakes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        HandshakeOutcome::ALL
            .into_iter()
            .zip(&self.handshakes)
            .map(|(outcome, count)| (outcome.as_str(), count.load(Ordering::Relaxed)))
    }

    pub fn proxy_headers_refused(&self) -> u64 {
        self.proxy_headers_refused.load(Ordering::Relaxed)
    }

    pub fn http2_connections(&self) -> u64 {
        self.http2_connections.get()
    }

    pub fn http2_streams(&self) -> u64 {
        self.http2_streams.get()
    }
}
