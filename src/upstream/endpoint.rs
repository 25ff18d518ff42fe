//! One endpoint: the `HttpPeer` that Pingora connects to, made once and cloned for each
//! attempt, and what is known of the endpoint for as long as it is in use.

use std::hash::{Hash, Hasher};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use pingora_core::protocols::SocketDigest;
use pingora_core::upstreams::peer::{HttpPeer, Peer as _};

use super::connections::OpenConnections;
use super::endpoint_spec::{EndpointSpec, authorities};
use super::health::HealthState;
use super::load::Load;
use super::peer::{destination, peer};
use super::pool_key;
use super::sticky::StickyCookie;
use super::transport::{ClientAddress, Destination, Dial, NameAddresses, TlsClient};
use crate::config::{SendProxy, Sticky, Upstream, UpstreamProtocol};
use crate::metrics::UpstreamMetrics;

#[derive(Debug)]
pub struct Endpoint {
    /// The name of the endpoint in logs and reports.
    pub label: Arc<str>,
    pub backup: bool,
    pub stats: Arc<EndpointStats>,
    /// The configured weight.
    weight: u32,
    peer: HttpPeer,
    /// What `peer` leads to.
    destination: Arc<Destination>,
    /// The authorities by which the server may call itself in a redirect.
    authorities: Vec<String>,
    addresses: Option<Arc<NameAddresses>>,
    pub(super) cookie: Option<StickyCookie>,
    /// Requests at once; `u32::MAX` is no limit.
    max_connections: u32,
    keeps_connections: bool,
    slow_start: Duration,
    /// The key under which idle connections to the endpoint are kept.
    pool_key: u64,
}

/// What is learnt of an endpoint. It outlives a reload that keeps the endpoint.
#[derive(Debug)]
pub struct EndpointStats {
    pub load: Load,
    /// Tells the endpoint from every other one of the process.
    id: u64,
    open: OpenConnections,
    /// Attempts that went to the endpoint.
    pub served: AtomicU64,
    pub failed: AtomicU64,
    pub ejections: AtomicU64,
    /// Failures in a row.
    pub(super) consecutive_failures: AtomicU32,
    created: Instant,
    /// When the endpoint came back, in milliseconds from `created`; 0 once it has its whole
    /// share.
    slow_start_since: AtomicU64,
    /// How long connections may be idle by what the server says, in milliseconds; 0 is unknown.
    keep_alive_ms: AtomicU64,
    health: Mutex<HealthState>,
    /// What is counted of its upstream.
    upstream: Arc<UpstreamMetrics>,
}

impl EndpointStats {
    pub fn new(load: Load, upstream: &Arc<UpstreamMetrics>) -> Self {
        Self {
            load,
            id: pool_key::next_key(),
            open: OpenConnections::default(),
            served: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            consecutive_failures: AtomicU32::new(0),
            created: Instant::now(),
            slow_start_since: AtomicU64::new(0),
            keep_alive_ms: AtomicU64::new(0),
            health: Mutex::default(),
            upstream: Arc::clone(upstream),
        }
    }

    pub fn health(&self) -> MutexGuard<'_, HealthState> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the endpoint's share of the requests grow from now on.
    pub(super) fn begin_slow_start(&self) {
        self.slow_start_since.store(millis(self.created.elapsed()).max(1), Ordering::Relaxed);
    }
}

/// The part of its share that an endpoint gets when it has just come back.
const SLOW_START_LEAST: f64 = 0.1;

impl Endpoint {
    /// `tls`: that of the upstream.
    ///
    /// # Errors
    /// In words, when a socket path is too long.
    pub fn new(
        spec: &EndpointSpec,
        upstream: &Upstream,
        tls: Option<&TlsClient>,
        stats: Arc<EndpointStats>,
        key: &[u8],
    ) -> Result<Self, String> {
        let cookie =
            upstream.sticky.as_ref().and_then(|sticky| StickyCookie::new(sticky, key, &upstream.name, &spec.label));
        let mut peer = peer(spec, upstream)?;
        // An endpoint that was gone and is back must not reuse connections from before.
        peer.group_key ^= spec.addresses.as_ref().and_then(|addresses| addresses.renewed_key).unwrap_or(stats.id);
        let destination = Arc::new(destination(spec, upstream, tls, &stats.upstream));
        Dial { destination: Arc::clone(&destination), client: None, upgrade: false }.attach(&mut peer.options);
        Ok(Self {
            label: spec.label.as_str().into(),
            backup: spec.backup,
            stats,
            weight: spec.weight,
            authorities: authorities(spec, upstream.tls.as_ref()),
            addresses: spec.addresses.clone(),
            cookie,
            max_connections: upstream.pool.max_connections.unwrap_or(u32::MAX),
            keeps_connections: upstream.max_idle() > 0,
            slow_start: upstream.slow_start,
            pool_key: peer.reuse_hash(),
            peer,
            destination,
        })
    }

    /// The peer to connect to. It has no read timeout, because Pingora's would run while the
    /// client still sends, and for head and body alike; `downstream` has the deadlines.
    pub fn peer(&self) -> HttpPeer {
        let mut peer = self.peer.clone();
        let keep_alive_ms = self.stats.keep_alive_ms.load(Ordering::Relaxed);
        if keep_alive_ms > 0 {
            let ours = peer.options.idle_timeout.unwrap_or(Duration::MAX);
            peer.options.idle_timeout = Some(ours.min(Duration::from_millis(keep_alive_ms)));
        }
        peer
    }

    /// The same peer for a connection that is neither taken from the pool nor put into it.
    pub fn unpooled_peer(&self) -> HttpPeer {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut peer = self.peer.clone();
        // No other request has this key before the idle timeout ends the connection.
        peer.group_key ^= NEXT.fetch_add(1, Ordering::Relaxed);
        peer.options.idle_timeout = Some(Duration::ZERO);
        peer
    }

    /// The peer for a request. `upgrade`: it asks for one; `is_fresh`: it shall not use a connection
    /// that has waited for it. `client` names the client, where the server is told of it: then the
    /// connection carries no other client's requests.
    pub fn peer_for(&self, upgrade: bool, is_fresh: bool, client: impl FnOnce() -> Option<ClientAddress>) -> HttpPeer {
        let Destination { protocol, send_proxy, .. } = *self.destination;
        let is_own = match protocol {
            // A tunnel would take a connection out of the pool for good.
            UpstreamProtocol::Http1 | UpstreamProtocol::Auto => upgrade || is_fresh,
            // Connections that have ended are not in the pool, and a tunnel is one stream of many.
            UpstreamProtocol::Http2 | UpstreamProtocol::H2c => !self.keeps_connections,
        };
        let mut peer = if is_own { self.unpooled_peer() } else { self.peer() };
        let names_client = send_proxy != SendProxy::Off;
        if names_client || upgrade {
            let client = if names_client { client() } else { None };
            let mut hasher = std::collections::hash_map::DefaultHasher::new();
            client.hash(&mut hasher);
            peer.group_key ^= if names_client { hasher.finish() } else { 0 };
            Dial { destination: Arc::clone(&self.destination), client, upgrade }.attach(&mut peer.options);
        }
        peer
    }

    /// Where connections go.
    pub(super) fn destination(&self) -> &Destination {
        &self.destination
    }

    /// Remembers a new connection to the endpoint.
    pub fn note_connection(&self, socket: RawFd, digest: Option<&Arc<SocketDigest>>) {
        self.stats.open.note(self.pool_key, socket, digest);
    }

    /// Closes the idle connections to an endpoint that was removed, once it has no requests
    /// any more. No request takes them up again, so that the idle timeout has closed what is
    /// left when it is over.
    pub async fn retire(self: Arc<Self>) {
        let began = Instant::now();
        let longest = self.peer.options.idle_timeout.unwrap_or(Duration::MAX);
        while self.stats.load.get() > 0 {
            if began.elapsed() > longest {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let others: Vec<_> = self.addresses.iter().flat_map(|addresses| addresses.iter()).collect();
        let closed = self.stats.open.close(self.pool_key, &self.peer._address, &others);
        log::debug!("server {}: {closed} connections of no more use were closed", self.label);
    }

    pub fn pool_key(&self) -> u64 {
        self.pool_key
    }

    /// Notes how long connections to the server may be idle, because it says so.
    pub fn note_idle_limit(&self, limit: Duration) {
        let limit = millis(limit);
        if self.stats.keep_alive_ms.load(Ordering::Relaxed) != limit {
            self.stats.keep_alive_ms.store(limit, Ordering::Relaxed);
        }
    }

    /// First the authority that `host: upstream` sends, then other names of the server.
    pub fn authorities(&self) -> &[String] {
        &self.authorities
    }

    /// The `Set-Cookie` that makes a client stick to the endpoint.
    pub fn set_cookie(&self, sticky: &Sticky, https: bool) -> Option<HeaderValue> {
        self.cookie.as_ref().map(|cookie| cookie.set_cookie(sticky, https))
    }

    /// The weight in force: the operator's, or the configured one.
    pub fn weight(&self) -> u32 {
        self.stats.health().weight().unwrap_or(self.weight)
    }

    pub fn configured_weight(&self) -> u32 {
        self.weight
    }

    pub fn max_connections(&self) -> Option<u32> {
        (self.max_connections < u32::MAX).then_some(self.max_connections)
    }

    pub fn has_room(&self) -> bool {
        self.max_connections == u32::MAX || self.stats.load.get() < self.max_connections
    }

    /// Counts a request that begins; `false` where there is no room for it.
    pub(super) fn acquire(&self) -> bool {
        if self.max_connections == u32::MAX {
            self.stats.load.add();
        } else if !self.stats.load.add_below(self.max_connections) {
            return false;
        }
        self.stats.served.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Whether an endpoint in slow start takes this request: as often as its share has grown
    /// since it came back, at random, or by the balancing key, so that a client moves to the
    /// endpoint once and stays.
    pub(super) fn passes_slow_start(&self, hash: Option<u64>) -> bool {
        let since = self.stats.slow_start_since.load(Ordering::Relaxed);
        if since == 0 {
            return true;
        }
        let share = self.slow_start_share(since);
        if share >= 1.0 {
            self.stats.slow_start_since.store(0, Ordering::Relaxed);
        }
        match hash {
            Some(hash) => {
                // A number of its own for each endpoint and key; its upper half is read as a
                // share of one.
                let own = (hash ^ self.stats.id).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
                (own as f64) < share * f64::from(u32::MAX)
            }
            None => fastrand::f64() < share,
        }
    }

    fn slow_start_share(&self, since: u64) -> f64 {
        let elapsed = self.stats.created.elapsed().saturating_sub(Duration::from_millis(since));
        let whole = self.slow_start.as_secs_f64();
        if whole > 0.0 { (elapsed.as_secs_f64() / whole).max(SLOW_START_LEAST) } else { 1.0 }
    }

    /// The endpoint's share in percent, while it grows.
    pub fn slow_start_percent(&self) -> Option<u8> {
        let since = self.stats.slow_start_since.load(Ordering::Relaxed);
        let share = self.slow_start_share(since) * 100.0;
        // At most 100, so that it fits.
        (since > 0 && share < 100.0).then_some(share as u8)
    }
}

pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
