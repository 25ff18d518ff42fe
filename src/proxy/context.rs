//! What one request carries from hook to hook. Pins one snapshot for its life.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::HeaderValue;
use pingora_http::RequestHeader;

use super::fail::Cause;
use super::mirror::Copies;
use crate::filter::RequestContext;
use crate::message::hash;
use crate::runtime::{Action, Route, Snapshot};
use crate::upstream::{Pick, Pool, Server};

#[derive(Debug)]
pub struct RequestCtx {
    pub snapshot: Arc<Snapshot>,
    pub at: SystemTime,
    pub started: Instant,
    pub request_id: u64,
    /// The other end of the connection; `None` on a unix socket.
    pub peer_ip: Option<IpAddr>,
    pub peer_trusted: bool,
    /// Who the request is from, after trusted proxies have been believed.
    pub client_ip: Option<IpAddr>,
    /// How the client came, as far as is believed: `http` or `https`.
    pub scheme: &'static str,
    /// As sent; empty for an HTTP/1.0 request without one.
    pub host: HeaderValue,
    /// Whether the client asks for another protocol, such as WebSocket.
    pub upgrade: bool,
    /// Origin form, where what goes upstream is not what came.
    pub target: Option<String>,
    pub route: Option<usize>,
    /// Which part of a split takes it.
    pub part: usize,
    pub attempt: Attempt,
    pub failure: Option<Cause>,
    /// What we refuse it for, where no error of Pingora's says so.
    pub refused: Option<Cause>,
    /// In seconds, for the client.
    pub retry_after: Option<u64>,
    /// Where copies of its body go.
    pub mirror: Option<Copies>,
}

/// The present try at an upstream, and what is remembered of those before.
#[derive(Debug, Default)]
pub struct Attempt {
    pub pick: Option<Pick>,
    /// The server's name, once nothing is asked of it any more.
    pub left: Option<Arc<str>>,
    /// Where it failed before.
    pub tried: Vec<Arc<Server>>,
    /// The server that the client's cookie names.
    pub own: Option<Arc<Server>>,
    pub count: u32,
    /// Those that reached a server.
    pub sent: u32,
    /// The next one goes over a new connection.
    pub fresh: bool,
    /// One connection that had died in the pool was not counted as a try.
    pub excused: bool,
    /// The upstream's answer is not wanted; it is tried again.
    pub again: bool,
    pub began: Option<Instant>,
    pub connect: Option<Duration>,
    pub reused: bool,
    pub ttfb: Option<Duration>,
    pub status: Option<u16>,
    /// Interim responses so far.
    pub interim: u32,
}

impl Attempt {
    /// The server has its room back.
    pub fn leave(&mut self) {
        self.left = self.pick.take().map(|pick| Arc::clone(&pick.server.label));
    }

    /// As it is logged.
    pub fn server(&self) -> Option<&str> {
        self.pick.as_ref().map(|pick| &*pick.server.label).or(self.left.as_deref())
    }
}

impl RequestCtx {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            at: SystemTime::now(),
            started: Instant::now(),
            request_id: next_request_id(),
            peer_ip: None,
            peer_trusted: false,
            client_ip: None,
            scheme: "http",
            host: HeaderValue::from_static(""),
            upgrade: false,
            target: None,
            route: None,
            part: 0,
            attempt: Attempt::default(),
            failure: None,
            refused: None,
            retry_after: None,
            mirror: None,
        }
    }

    /// The route that took the request, once one did.
    pub fn route(&self) -> Option<&Route> {
        self.route.and_then(|index| self.snapshot.routes.get(index))
    }

    /// The pool of the route, where its action is to forward.
    pub fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.route()?.action {
            Action::Upstream(pool) => Some(pool),
            Action::Split(split) => split.parts.get(self.part),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }

    /// The end of the time that the upstream's `timeouts.request` gives it.
    pub fn deadline(&self) -> Option<Instant> {
        self.pool().and_then(|pool| pool.timeouts().request).map(|time| self.started + time)
    }

    /// What filters are told of the request, whose head as it came is `head`.
    pub fn request<'r>(&'r self, head: &'r RequestHeader) -> RequestContext<'r> {
        RequestContext {
            head,
            normalized: self.target.as_deref(),
            host: &self.host,
            scheme: self.scheme,
            client_ip: self.client_ip,
            peer_trusted: self.peer_trusted,
            request_id: self.request_id,
        }
    }

    /// A checked host is ASCII (`intake`).
    pub fn host(&self) -> &str {
        self.host.to_str().unwrap_or("")
    }
}

/// Unique in the process and, by its random start, between processes; not a secret.
pub fn next_request_id() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static SEED: std::sync::LazyLock<u64> =
        std::sync::LazyLock::new(|| std::hash::RandomState::new().build_hasher().finish());
    hash::nth(*SEED, NEXT.fetch_add(1, Ordering::Relaxed))
}
