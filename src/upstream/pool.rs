//! One upstream: its endpoints, which of them gets a request, and what is learnt of them
//! from the requests that they get.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::active_set::{ActiveSet, is_untried};
use super::endpoint::Endpoint;
use super::endpoints::Endpoints;
use super::queue::Queue;
use super::retry_budget::RetryBudget;
use super::sticky::CookieKey;
use crate::config::{Balance, KeySource, Retry, Sticky, Upstream, UpstreamTimeouts};
use crate::metrics::UpstreamMetrics;

/// The endpoints of one upstream in one configuration.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    pub budget: RetryBudget,
    active: ArcSwap<ActiveSet>,
    endpoints: Mutex<Endpoints>,
    state: Arc<UpstreamState>,
    /// The configuration that the pool was made from.
    upstream: Upstream,
    /// Notified when endpoints were added or removed.
    pub(super) changed: Notify,
}

/// What the pools of one upstream share from one configuration to the next.
#[derive(Debug, Default)]
struct UpstreamState {
    queue: Queue<(Arc<Pool>, PickRequest), Pick>,
    /// How often the health state of an endpoint has changed.
    version: AtomicU64,
    metrics: Arc<UpstreamMetrics>,
}

/// What a request asks of a pool.
#[derive(Clone, Debug, Default)]
pub struct PickRequest {
    /// The hash of the balancing key, where the upstream balances by one.
    pub hash: Option<u64>,
    /// The endpoint that the client's cookie names.
    pub sticky: Option<Arc<Endpoint>>,
    /// The endpoints that the request has failed at.
    pub tried: Vec<Arc<Endpoint>>,
}

/// The endpoint of one attempt. The endpoint counts the request until the `Pick` is dropped.
#[derive(Debug)]
pub struct Pick {
    pub endpoint: Arc<Endpoint>,
    pool: Arc<Pool>,
}

impl Pick {
    pub fn metrics(&self) -> &UpstreamMetrics {
        self.pool.metrics()
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.endpoint.stats.load.remove();
        self.pool.serve_queue();
    }
}

/// Why a request gets no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// All are down, ejected, draining or disabled; one may be back in this many seconds.
    AllDown(u64),
    /// The upstream has no endpoint: no name of its servers has an address.
    NoAddress,
    /// All are at their `max_connections`, and the queue is full.
    AtCapacity,
    /// The request waited in the queue for too long.
    QueueTimeout,
}

impl Pool {
    /// `previous` is the pool that this one takes the place of; `key` signs sticky cookies.
    ///
    /// # Errors
    /// In words, when a certificate or key cannot be used or a socket path is too long.
    pub fn new(upstream: &Upstream, previous: Option<&Self>, key: &CookieKey) -> Result<Self, String> {
        let state = previous.map(|pool| Arc::clone(&pool.state)).unwrap_or_default();
        let endpoints = {
            let before = previous.map(Self::endpoints);
            Endpoints::new(upstream, before.as_deref(), key, &state.metrics)?
        };
        let version = state.version.load(Ordering::Acquire);
        let active = ActiveSet::new(&endpoints.all(), &upstream.balance, 0, version);
        Ok(Self {
            name: upstream.name.as_str().into(),
            budget: RetryBudget::new(upstream.retry.budget),
            active: ArcSwap::from_pointee(active),
            endpoints: Mutex::new(endpoints),
            state,
            upstream: upstream.clone(),
            changed: Notify::new(),
        })
    }

    /// Whether a new pool for this configuration would be the same.
    pub fn is_configured_as(&self, upstream: &Upstream) -> bool {
        self.upstream == *upstream
    }

    pub fn settings(&self) -> &Upstream {
        &self.upstream
    }

    pub fn timeouts(&self) -> &UpstreamTimeouts {
        &self.upstream.timeouts
    }

    pub fn retry(&self) -> &Retry {
        &self.upstream.retry
    }

    pub fn sticky(&self) -> Option<&Sticky> {
        self.upstream.sticky.as_ref()
    }

    /// The part of a request by which the upstream balances.
    pub fn hash_source(&self) -> Option<&KeySource> {
        match &self.upstream.balance {
            Balance::Hash(source) => Some(source),
            Balance::RoundRobin | Balance::LeastConn | Balance::P2c | Balance::Random => None,
        }
    }

    /// Whether connections are kept for later requests.
    pub fn keeps_connections(&self) -> bool {
        self.upstream.max_idle() > 0
    }

    /// Every endpoint, whatever its state.
    pub fn all_endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.endpoints().all()
    }

    /// The number of endpoints that get requests now.
    pub fn available(&self) -> usize {
        self.active.load().endpoints.len()
    }

    /// What is counted of the upstream, from one configuration to the next.
    pub fn metrics(&self) -> &UpstreamMetrics {
        &self.state.metrics
    }

    /// Whether one more retry is allowed. If so, it is counted.
    pub fn may_retry(&self, now: Instant) -> bool {
        let may = self.budget.withdraw(now);
        if !may {
            self.metrics().budget_refused();
        }
        may
    }

    pub fn waiting(&self) -> usize {
        self.state.queue.len()
    }

    /// The endpoint that the value of a sticky cookie names.
    pub fn endpoint_of_cookie(&self, value: &[u8]) -> Option<Arc<Endpoint>> {
        self.active().endpoint_of_cookie(value).map(Arc::clone)
    }

    /// Picks an endpoint without waiting.
    ///
    /// # Errors
    /// Why there is none; [`Unavailable::AtCapacity`] also where other requests wait already.
    pub fn pick(self: &Arc<Self>, request: &PickRequest) -> Result<Pick, Unavailable> {
        let nobody_waits = self.upstream.pool.queue == 0 || self.state.queue.is_empty();
        if nobody_waits { self.try_pick(request) } else { Err(Unavailable::AtCapacity) }
    }

    /// Waits in the queue for an endpoint with room, until `deadline` at most.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait(self: &Arc<Self>, request: PickRequest, deadline: Option<Instant>) -> Result<Pick, Unavailable> {
        let rules = &self.upstream.pool;
        let longest = deadline
            .map_or(rules.queue_timeout, |at| rules.queue_timeout.min(at.saturating_duration_since(Instant::now())));
        let anywhere = PickRequest { sticky: None, ..request.clone() };
        let Some((place, counted)) = self.state.queue.join((Arc::clone(self), request), rules.queue) else {
            // The queue is full of requests that may all wait for another endpoint than this one.
            return self.try_pick(&anywhere);
        };
        // An endpoint may have had room again before this request was in the queue.
        self.serve_queue();
        let waited = pingora_timeout::timeout(longest, place).await;
        drop(counted);
        match waited {
            Ok(Ok(pick)) => Ok(pick),
            Ok(Err(_)) | Err(_) => self.try_pick(&anywhere).map_err(|_| Unavailable::QueueTimeout),
        }
    }

    /// Picks an endpoint whether or not other requests wait.
    ///
    /// # Errors
    /// Why there is none.
    pub fn try_pick(self: &Arc<Self>, request: &PickRequest) -> Result<Pick, Unavailable> {
        let active = self.active();
        let sticky = request.sticky.as_ref().filter(|own| active.keeps(own) && is_untried(own, &request.tried));
        match sticky.map(|own| self.acquire(own)) {
            Some(Some(pick)) => return Ok(pick),
            // The request waits for the endpoint that its client sticks to.
            Some(None) if self.upstream.pool.queue > 0 => return Err(Unavailable::AtCapacity),
            Some(None) | None => {}
        }
        // Once all endpoints were tried, a caller that goes on may try any of them again.
        let tried = if active.has_another(&request.tried) { request.tried.as_slice() } else { &[] };
        while let Some(endpoint) = active.choose(request.hash, tried) {
            if let Some(pick) = self.acquire(endpoint) {
                return Ok(pick);
            }
        }
        Err(if active.has_another(&[]) { Unavailable::AtCapacity } else { self.unavailable(&active) })
    }

    /// Whether there is an endpoint that was not tried.
    pub fn has_another(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.active().has_another(tried)
    }

    fn acquire(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> Option<Pick> {
        endpoint.acquire().then(|| {
            self.metrics().attempt();
            Pick { endpoint: Arc::clone(endpoint), pool: Arc::clone(self) }
        })
    }

    /// Gives waiting requests an endpoint, once there may be room: each request by the pool,
    /// and so by the configuration, that it came with.
    pub(super) fn serve_queue(&self) {
        let choose = |(pool, request): &(Arc<Self>, PickRequest)| pool.try_pick(request).ok();
        self.state.queue.serve(choose, |(_, request)| request.sticky.is_some());
    }

    pub(super) fn active(&self) -> arc_swap::Guard<Arc<ActiveSet>> {
        let active = self.active.load();
        if self.is_current(&active) {
            return active;
        }
        drop(active);
        self.end_ejections();
        self.active.load()
    }

    fn is_current(&self, active: &ActiveSet) -> bool {
        active.version == self.state.version.load(Ordering::Acquire)
            && active.next_return.is_none_or(|due| due > Instant::now())
    }

    pub(super) fn endpoints(&self) -> MutexGuard<'_, Endpoints> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the active set anew after endpoints or a health state have changed. The pool of
    /// another configuration that shares the endpoints learns of it by the version.
    pub(super) fn note_change(&self, endpoints: &Endpoints) {
        self.state.version.fetch_add(1, Ordering::AcqRel);
        self.refresh(endpoints);
    }

    fn refresh(&self, endpoints: &Endpoints) {
        // Read before the endpoints are: what changes meanwhile is seen the next time.
        let version = self.state.version.load(Ordering::Acquire);
        let position = self.active.load().position();
        self.active.store(Arc::new(ActiveSet::new(&endpoints.all(), &self.upstream.balance, position, version)));
    }

    fn unavailable(&self, active: &ActiveSet) -> Unavailable {
        if active.total == 0 {
            return Unavailable::NoAddress;
        }
        let due = active.next_return.map(|due| due.saturating_duration_since(Instant::now()));
        let check = self.upstream.health.active.as_ref().map(|check| check.interval);
        let next = due.into_iter().chain(check).min().unwrap_or(Duration::from_secs(1));
        Unavailable::AllDown(next.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(1))
    }

    /// Whether a response with this status counts as a failure of its endpoint.
    pub fn is_failure(&self, status: u16) -> bool {
        let passive = self.upstream.health.passive.as_ref();
        passive.is_some_and(|rules| rules.statuses.iter().any(|bad| bad.as_u16() == status))
    }

    /// Notes that an endpoint answered as it should.
    pub fn record_success(&self, endpoint: &Endpoint) {
        if endpoint.stats.consecutive_failures.load(Ordering::Relaxed) > 0 {
            endpoint.stats.consecutive_failures.store(0, Ordering::Relaxed);
        }
    }

    /// Notes that an endpoint failed a request, and ejects it if that was one too many in a
    /// row; `reason` is in words.
    pub fn record_failure(&self, endpoint: &Endpoint, reason: &str) {
        endpoint.stats.failed.fetch_add(1, Ordering::Relaxed);
        self.metrics().failed();
        let Some(rules) = &self.upstream.health.passive else { return };
        if endpoint.stats.consecutive_failures.fetch_add(1, Ordering::Relaxed) + 1 < rules.failures {
            return;
        }
        endpoint.stats.consecutive_failures.store(0, Ordering::Relaxed);
        let endpoints = self.endpoints();
        if !endpoints.may_lose(endpoint, rules.max_ejected) {
            return;
        }
        let count = if rules.failures == 1 { String::new() } else { format!("{} failures in a row, ", rules.failures) };
        let reason = format!("{count}the last: {reason}");
        let time = endpoint.stats.health().eject(&reason, Instant::now(), rules);
        endpoint.stats.ejections.fetch_add(1, Ordering::Relaxed);
        self.metrics().ejected();
        log::warn!(
            "upstream {}: server {} gets no requests for {} s: {reason}",
            self.name,
            endpoint.label,
            time.as_secs_f64()
        );
        self.note_change(&endpoints);
    }

    fn end_ejections(&self) {
        let endpoints = self.endpoints();
        if self.is_current(&self.active.load()) {
            // Another thread has done it.
            return;
        }
        let now = Instant::now();
        let rules = self.upstream.health.passive.as_ref();
        let mut changed = false;
        for endpoint in endpoints.all() {
            if !endpoint.stats.health().end_ejection(now) {
                continue;
            }
            changed = true;
            // The endpoint is on trial: one more failure ejects it again.
            let failures_on_trial = rules.map_or(0, |rules| rules.failures - 1);
            endpoint.stats.consecutive_failures.store(failures_on_trial, Ordering::Relaxed);
            self.begin_slow_start(&endpoint);
            log::info!("upstream {}: server {} gets requests again, on trial", self.name, endpoint.label);
        }
        if changed {
            self.note_change(&endpoints);
        } else {
            self.refresh(&endpoints);
        }
    }

    /// Has an endpoint that came back get its share little by little.
    pub(super) fn begin_slow_start(&self, endpoint: &Endpoint) {
        if !self.upstream.slow_start.is_zero() {
            endpoint.stats.begin_slow_start();
        }
    }
}
