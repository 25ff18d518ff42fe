//! What is true of a client's connection, for all the exchanges on it. Made once, and
//! found by the hooks through Pingora's digest of the connection.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use pingora_core::protocols::Digest;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_http::ResponseHeader;

use crate::exchange::Exchange;
use crate::message::forwarded;

/// What goes on on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Activity {
    /// Between two requests, or before the first.
    Idle,
    /// From the first byte of a request to the last of its response.
    Request,
    /// A WebSocket, another upgrade or an event stream: it ends when somebody wants it to.
    Tunnel,
}

impl Activity {
    fn of(value: u8) -> Self {
        match value {
            1 => Self::Request,
            2 => Self::Tunnel,
            _ => Self::Idle,
        }
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    Client,
    /// This process itself, to see whether it can serve.
    Probe,
}

/// The connection of a client.
#[derive(Debug)]
pub struct ClientConnection {
    /// `None` on a unix socket.
    pub ip: Option<IpAddr>,
    /// As `X-Forwarded-For` names the client.
    pub forwarded_for: HeaderValue,
    /// The `for=` parameter of `Forwarded` (RFC 7239).
    pub forwarded_for_param: String,
    pub initiator: Initiator,
    activity: AtomicU8,
    /// Shared by all connections of the process.
    closing: Arc<AtomicBool>,
    /// The exchange that the HTTP/1 driver has begun and no hook has taken yet.
    untaken_exchange: Mutex<Option<Arc<Exchange>>>,
}

impl ClientConnection {
    /// `closing`: whether connections are closed after their responses, because the process is
    /// about to end.
    pub fn new(ip: Option<IpAddr>, initiator: Initiator, closing: Arc<AtomicBool>) -> Self {
        let address = HeaderValue::try_from(forwarded::address(ip));
        Self {
            ip,
            forwarded_for: address.unwrap_or(HeaderValue::from_static("unknown")),
            forwarded_for_param: forwarded::node(ip),
            initiator,
            activity: AtomicU8::new(Activity::Idle as u8),
            closing,
            untaken_exchange: Mutex::new(None),
        }
    }

    /// The connection that Pingora's digest tells of. Pingora keeps one thing of ours with
    /// each connection, in the digest that it has for CONNECT proxies.
    pub fn of(digest: Option<&Digest>) -> Option<&Arc<Self>> {
        digest?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// A digest by which [`Self::of`] finds this connection; `None` when Pingora cannot make
    /// the empty response that belongs to one.
    pub(super) fn digest(self: &Arc<Self>) -> Option<Arc<ProxyDigest>> {
        let response = ResponseHeader::build(200, Some(0)).ok()?;
        Some(Arc::new(ProxyDigest::new(Box::new(response), Some(Box::new(Arc::clone(self))))))
    }

    /// Whether the connection is closed after the next response.
    pub fn closes_after_response(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub fn activity(&self) -> Activity {
        Activity::of(self.activity.load(Ordering::Relaxed))
    }

    pub(super) fn set_activity(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// Has the hooks find the exchange of the request that they are about to get.
    pub(super) fn begin_exchange(&self, exchange: Arc<Exchange>) {
        *self.untaken_exchange.lock().unwrap_or_else(PoisonError::into_inner) = Some(exchange);
    }

    /// The exchange of the request that has just begun; `None` for who asks a second time.
    pub fn take_exchange(&self) -> Option<Arc<Exchange>> {
        self.untaken_exchange.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
