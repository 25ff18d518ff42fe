//! What is true of a client's connection, for all the exchanges on it. Made once, and
//! found by the hooks through the digest that Pingora is given of each exchange.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderValue;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{Digest, SocketDigest};
use pingora_http::ResponseHeader;

use crate::exchange::Exchange;
use crate::message::forwarded;
use crate::metrics::ListenerMetrics;
use crate::transport::{ClientTls, Transport};

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

/// By which limit a connection is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// `limits.connections`.
    Connections,
    /// `limits.connections_per_ip`.
    OfAddress,
}

/// The other end of a connection, as it is known before the first request.
#[derive(Debug)]
pub struct Remote {
    /// Where it came in.
    pub listener: usize,
    /// What is counted of that listener.
    pub metrics: Arc<ListenerMetrics>,
    /// `None` on a unix socket.
    pub address: Option<SocketAddr>,
    /// `None` without TLS.
    pub tls: Option<ClientTls>,
    pub initiator: Initiator,
    /// Its requests are answered with why there are too many connections, and nothing else.
    pub excess: Option<Excess>,
}

impl Remote {
    /// A client without TLS, of which no more than its address is known.
    pub fn plain(ip: Option<IpAddr>) -> Self {
        let address = ip.map(|ip| SocketAddr::new(ip, 0));
        let metrics = Arc::default();
        Self { listener: 0, metrics, address, tls: None, initiator: Initiator::Client, excess: None }
    }

    /// This process itself.
    pub fn probe() -> Self {
        Self { initiator: Initiator::Probe, ..Self::plain(None) }
    }
}

/// What the end of the process does to its connections.
#[derive(Debug, Default)]
pub struct ProcessEnd {
    /// Connections are closed after their responses.
    closing: AtomicBool,
    /// What is under way is dropped.
    cut: AtomicBool,
}

impl ProcessEnd {
    pub(super) fn set_closing(&self, closing: bool) {
        self.closing.store(closing, Ordering::Relaxed);
    }

    pub(super) fn set_cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }
}

/// The connection of a client.
#[derive(Debug)]
pub struct ClientConnection {
    /// The place of the listener where it came in.
    pub listener: usize,
    /// What is counted of that listener.
    pub metrics: Arc<ListenerMetrics>,
    pub is_http2: bool,
    /// `None` on a unix socket.
    pub address: Option<SocketAddr>,
    /// That of `address`, an IPv4 address in IPv6 form as the IPv4 address that it is.
    pub ip: Option<IpAddr>,
    /// `None` without TLS. Boxed, so that a connection without it does not keep a place for it.
    pub tls: Option<Box<ClientTls>>,
    /// As `X-Forwarded-For` names the client.
    pub forwarded_for: HeaderValue,
    /// The `for=` parameter of `Forwarded` (RFC 7239).
    pub forwarded_for_param: String,
    pub initiator: Initiator,
    /// Its requests are answered with why there are too many connections, and nothing else.
    pub excess: Option<Excess>,
    activity: AtomicU8,
    /// What it goes through, while it is served.
    socket: Option<RawFd>,
    /// Shared by all connections of the process.
    end: Arc<ProcessEnd>,
}

impl ClientConnection {
    /// `end`: that of the process.
    pub fn new(remote: Remote, end: Arc<ProcessEnd>) -> Self {
        let Remote { listener, metrics, address, tls, initiator, excess } = remote;
        let ip = address.map(|address| address.ip().to_canonical());
        let forwarded_for = HeaderValue::try_from(forwarded::address(ip));
        Self {
            listener,
            metrics,
            is_http2: false,
            address,
            ip,
            tls: tls.map(Box::new),
            forwarded_for: forwarded_for.unwrap_or(HeaderValue::from_static("unknown")),
            forwarded_for_param: forwarded::node(ip),
            initiator,
            excess,
            activity: AtomicU8::new(Activity::Idle as u8),
            socket: None,
            end,
        }
    }

    /// Says what it goes through.
    pub(super) fn through(self, stream: &Transport) -> Self {
        Self { socket: Some(stream.socket().as_raw_fd()), ..self }
    }

    /// Our end of it, while it is served; `None` on a unix socket. It costs a call of the system.
    pub fn local_address(&self) -> Option<SocketAddr> {
        SocketDigest::from_raw_fd(self.socket?).local_addr()?.as_inet().copied()
    }

    /// How the client came, as far as this proxy saw it.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Whether the connection is closed after the next response.
    pub fn closes_after_response(&self) -> bool {
        self.end.closing.load(Ordering::Relaxed)
    }

    /// Whether what is under way on it ends because the process does.
    pub fn is_cut(&self) -> bool {
        self.end.cut.load(Ordering::Relaxed)
    }

    pub fn activity(&self) -> Activity {
        Activity::of(self.activity.load(Ordering::Relaxed))
    }

    pub(super) fn set_activity(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
    }
}

/// Where a request came from, as the hooks find it. One for a connection on which one exchange
/// follows the other, one for each of several that go on at once.
#[derive(Debug)]
pub struct RequestSource {
    pub connection: Arc<ClientConnection>,
    /// The exchange that the driver has begun and no hook has taken yet.
    untaken_exchange: Mutex<Option<Arc<Exchange>>>,
}

impl RequestSource {
    pub(super) fn new(connection: Arc<ClientConnection>) -> Arc<Self> {
        Arc::new(Self { connection, untaken_exchange: Mutex::new(None) })
    }

    /// The source that Pingora's digest tells of. Pingora keeps one thing of ours with each
    /// digest, in the part that it has for CONNECT proxies.
    pub fn of(digest: Option<&Digest>) -> Option<&Arc<Self>> {
        digest?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// A digest by which [`Self::of`] finds this source.
    pub(super) fn digest(self: &Arc<Self>) -> Digest {
        // Pingora wants the empty response that belongs to one, and can always make it.
        let response = ResponseHeader::build(200, Some(0)).ok();
        let user_data = Box::new(Arc::clone(self));
        let proxy_digest = response.map(|response| Arc::new(ProxyDigest::new(Box::new(response), Some(user_data))));
        // Nobody here asks for the others: `ClientConnection` tells of the socket in a tenth of the memory.
        Digest { ssl_digest: None, timing_digest: Vec::new(), proxy_digest, socket_digest: None }
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
