//! What one request carries from hook to hook. Pins one snapshot for its life.

use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use http::HeaderValue;
use pingora::{ErrorType, OkOrErr};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::admission::Admission;
use super::attempts::Attempts;
use super::grpc_web::GrpcWeb;
use super::mirror::Copies;
use super::tracing::Trace;
use crate::config::ClientTimeouts;
use crate::downstream::{ClientConnection, RequestSource};
use crate::exchange::Exchange;
use crate::filter::{Cause, FilterRequest, Findings};
use crate::message::request_id::RequestId;
use crate::runtime::{Action, Mirror, Route, Snapshot};
use crate::upstream::{Place, Pool};

#[derive(Debug)]
pub struct RequestCtx {
    pub snapshot: Arc<Snapshot>,
    pub at: SystemTime,
    pub started: Instant,
    pub request_id: RequestId,
    /// The id as a field tells it.
    pub request_id_field: OnceLock<Option<HeaderValue>>,
    /// `None` for a request that no client sent, which `explain` is asked about.
    pub client: Option<Client>,
    pub admission: Admission,
    /// What the filters found out.
    pub findings: Findings,
    /// Which upstream of a split takes it.
    pub split_index: usize,
    pub attempts: Attempts,
    /// What `fail_to_proxy` found that went wrong, for the log.
    pub failure: Option<Cause>,
    /// Whoever wants to know of its end has been told.
    pub is_finished: bool,
    /// Its place among the requests that the route may have at its upstream.
    pub place: Option<Place>,
    /// Where copies of its body go.
    pub mirror: Option<Copies>,
    /// A call of gRPC-Web that goes to the upstream as one of gRPC.
    pub grpc_web: Option<Box<GrpcWeb>>,
    /// `None` where nothing is traced.
    pub trace: Option<Trace>,
}

/// Where a request came in.
#[derive(Debug)]
pub struct Client {
    pub connection: Arc<ClientConnection>,
    pub exchange: Arc<Exchange>,
}

impl Client {
    /// Finds the connection by Pingora's digest of it, and takes the exchange that its driver has
    /// just begun. The only use of the digest.
    ///
    /// # Errors
    /// When there is none: without its deadlines no request is served.
    pub fn of(session: &Session) -> pingora::Result<Self> {
        let found = RequestSource::of(session.digest());
        let found = found.and_then(|source| Some((Arc::clone(&source.connection), source.take_exchange()?)));
        let (connection, exchange) = found.or_err(ErrorType::InternalError, "a request without a connection")?;
        connection.metrics.request_begins();
        Ok(Self { connection, exchange })
    }
}

impl RequestCtx {
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        let at = SystemTime::now();
        Self {
            snapshot,
            at,
            started: Instant::now(),
            request_id: RequestId::new(at),
            request_id_field: OnceLock::new(),
            client: None,
            admission: Admission::undecided(),
            findings: Findings::default(),
            split_index: 0,
            attempts: Attempts::default(),
            failure: None,
            is_finished: false,
            place: None,
            mirror: None,
            grpc_web: None,
            trace: None,
        }
    }

    pub fn connection(&self) -> Option<&ClientConnection> {
        self.client.as_ref().map(|client| &*client.connection)
    }

    pub fn exchange(&self) -> Option<&Arc<Exchange>> {
        self.client.as_ref().map(|client| &client.exchange)
    }

    /// Has the client's connection end after the response, which has still to begin.
    pub fn close_connection(&self) {
        if let Some(exchange) = self.exchange() {
            exchange.close_connection();
        }
    }

    /// The route that took the request, once one did.
    pub fn route(&self) -> Option<&Route> {
        self.snapshot.routes.get(self.admission.route.ok()?)
    }

    /// How long the client may take: the route's, once one took the request.
    pub fn timeouts(&self) -> &ClientTimeouts {
        let own = self.route().and_then(|route| route.timeouts.as_deref());
        own.unwrap_or(&self.snapshot.timeouts)
    }

    /// The pool of the route, where its action is to forward.
    pub fn pool(&self) -> Option<&Arc<Pool>> {
        match &self.route()?.action {
            Action::Upstream(pool) => Some(pool),
            Action::Split(split) => split.parts.get(self.split_index),
            Action::Redirect(_) | Action::Respond(_) => None,
        }
    }

    /// Where a copy of the request goes, if its route wants one: of its first attempt only,
    /// and not of what becomes a tunnel.
    pub fn wanted_mirror(&self) -> Option<&Mirror> {
        let first = self.attempts.sent == 1 && !self.admission.upgrade;
        self.route().filter(|_| first)?.mirror.as_ref()
    }

    /// The end of the time that the upstream's `timeouts.request` gives it.
    pub fn deadline(&self) -> Option<Instant> {
        let time = self.pool().and_then(|pool| pool.timeouts().request)?;
        self.route().filter(|route| !route.stream).map(|_| self.started + time)
    }

    /// What filters are told of the request, whose head as it came is `head`.
    pub fn request<'r>(&'r self, head: &'r RequestHeader) -> FilterRequest<'r> {
        FilterRequest {
            head,
            normalized_target: self.admission.normalized_target.as_deref(),
            host: &self.admission.host,
            scheme: self.admission.scheme,
            client_ip: self.admission.client_ip,
            remote_trusted: self.admission.remote_trusted,
            request_id: &self.request_id,
        }
    }

    /// The target in origin form; `head`: as it came.
    pub fn target<'r>(&'r self, head: &'r RequestHeader) -> &'r str {
        self.request(head).target()
    }
}
