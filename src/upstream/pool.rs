//! One upstream: its servers, whose turn it is, and what is learnt of them from the
//! requests that they get.

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

/// One upstream's servers.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    pub budget: RetryBudget,
    active: ArcSwap<ActiveSet>,
    endpoints: Mutex<Endpoints>,
    state: Arc<UpstreamState>,
    /// What it was made from.
    upstream: Upstream,
    /// Told when the servers are others.
    pub(super) changed: Notify,
}

/// What the pools of one upstream share, that of a configuration and that of the next.
#[derive(Debug, Default)]
struct UpstreamState {
    queue: Queue<(Arc<Pool>, PickRequest), Pick>,
    /// How often the standing of a server has changed.
    version: AtomicU64,
}

/// What a request wants of its server.
#[derive(Clone, Debug, Default)]
pub struct PickRequest {
    /// Of what tells the client apart, where that balances.
    pub hash: Option<u64>,
    /// Whose client it is.
    pub sticky: Option<Arc<Endpoint>>,
    /// Where it has been already.
    pub tried: Vec<Arc<Endpoint>>,
}

/// The server of one attempt, which counts it until this is dropped.
#[derive(Debug)]
pub struct Pick {
    pub endpoint: Arc<Endpoint>,
    pool: Arc<Pool>,
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.endpoint.stats.load.remove();
        self.pool.serve_queue();
    }
}

/// Why there is no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// All are down, ejected or switched off; in how many seconds one may be back.
    AllDown(u64),
    /// No name of a server has an address.
    NoAddress,
    /// All are at their `max_connections`, and so is the queue.
    AtCapacity,
    /// It waited in the queue for too long.
    QueueTimeout,
}

impl Pool {
    /// `previous`: the one it takes the place of. `key`: what signs cookies.
    ///
    /// # Errors
    /// In words, when a certificate or key cannot be used or a socket path is too long.
    pub fn new(upstream: &Upstream, previous: Option<&Self>, key: &CookieKey) -> Result<Self, String> {
        let endpoints = {
            let before = previous.map(Self::endpoints);
            Endpoints::new(upstream, before.as_deref(), key)?
        };
        let state = previous.map(|pool| Arc::clone(&pool.state)).unwrap_or_default();
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

    /// Whether it would be made anew just as it is.
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

    /// What of a request tells its server.
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

    /// Every server, whatever its state.
    pub fn all_endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.endpoints().all()
    }

    /// Those that get requests now.
    pub fn available(&self) -> usize {
        self.active.load().endpoints.len()
    }

    pub fn waiting(&self) -> usize {
        self.state.queue.len()
    }

    /// Whose client holds this cookie.
    pub fn endpoint_of_cookie(&self, value: &[u8]) -> Option<Arc<Endpoint>> {
        self.active().endpoint_of_cookie(value).map(Arc::clone)
    }

    /// A server for a request, without waiting.
    ///
    /// # Errors
    /// Why there is none; [`Unavailable::Full`] also where others wait already.
    pub fn pick(self: &Arc<Self>, request: &PickRequest) -> Result<Pick, Unavailable> {
        let nobody_waits = self.upstream.pool.queue == 0 || self.state.queue.is_empty();
        if nobody_waits { self.try_pick(request) } else { Err(Unavailable::AtCapacity) }
    }

    /// A server once there is one with room, waiting in the queue until `deadline` at most.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn wait(self: &Arc<Self>, request: PickRequest, deadline: Option<Instant>) -> Result<Pick, Unavailable> {
        let rules = &self.upstream.pool;
        let longest = deadline
            .map_or(rules.queue_timeout, |at| rules.queue_timeout.min(at.saturating_duration_since(Instant::now())));
        let anywhere = PickRequest { sticky: None, ..request.clone() };
        let Some((place, counted)) = self.state.queue.join((Arc::clone(self), request), rules.queue) else {
            // Who stands in the way may wait for another server than this one would get.
            return self.try_pick(&anywhere);
        };
        // Room may have been made before we stood there.
        self.serve_queue();
        let waited = pingora_timeout::timeout(longest, place).await;
        drop(counted);
        match waited {
            Ok(Ok(pick)) => Ok(pick),
            Ok(Err(_)) | Err(_) => self.try_pick(&anywhere).map_err(|_| Unavailable::QueueTimeout),
        }
    }

    /// Whatever the queue.
    ///
    /// # Errors
    /// Why there is none.
    pub fn try_pick(self: &Arc<Self>, request: &PickRequest) -> Result<Pick, Unavailable> {
        let active = self.active();
        let sticky = request.sticky.as_ref().filter(|own| active.keeps(own) && is_untried(own, &request.tried));
        match sticky.map(|own| self.acquire(own)) {
            Some(Some(pick)) => return Ok(pick),
            // It is worth waiting for.
            Some(None) if self.upstream.pool.queue > 0 => return Err(Unavailable::AtCapacity),
            Some(None) | None => {}
        }
        // Where all were tried, one more round is for whoever wants that.
        let tried = if active.has_another(&request.tried) { request.tried.as_slice() } else { &[] };
        while let Some(endpoint) = active.choose(request.hash, tried) {
            if let Some(pick) = self.acquire(endpoint) {
                return Ok(pick);
            }
        }
        Err(if active.has_another(&[]) { Unavailable::AtCapacity } else { self.unavailable(&active) })
    }

    /// Whether there is a server that was not tried.
    pub fn has_another(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.active().has_another(tried)
    }

    fn acquire(self: &Arc<Self>, endpoint: &Arc<Endpoint>) -> Option<Pick> {
        endpoint.acquire().then(|| Pick { endpoint: Arc::clone(endpoint), pool: Arc::clone(self) })
    }

    /// For those that wait, once there may be room: each by the configuration that it came with.
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

    /// After a change of the roster or of a server's standing, which other pools may have.
    pub(super) fn note_change(&self, endpoints: &Endpoints) {
        self.state.version.fetch_add(1, Ordering::AcqRel);
        self.refresh(endpoints);
    }

    fn refresh(&self, endpoints: &Endpoints) {
        // Before it is looked at: what changes meanwhile is seen the next time.
        let version = self.state.version.load(Ordering::Acquire);
        let position = self.active.load().position();
        self.active.store(Arc::new(ActiveSet::new(&endpoints.all(), &self.upstream.balance, position, version)));
    }

    fn unavailable(&self, active: &ActiveSet) -> Unavailable {
        if active.known == 0 {
            return Unavailable::NoAddress;
        }
        let due = active.next_return.map(|due| due.saturating_duration_since(Instant::now()));
        let check = self.upstream.health.active.as_ref().map(|check| check.interval);
        let next = due.into_iter().chain(check).min().unwrap_or(Duration::from_secs(1));
        Unavailable::AllDown(next.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(1))
    }

    /// Whether an answer with this status counts as a failure.
    pub fn is_failure(&self, status: u16) -> bool {
        let passive = self.upstream.health.passive.as_ref();
        passive.is_some_and(|rules| rules.statuses.iter().any(|bad| bad.as_u16() == status))
    }

    /// A server answered as it should.
    pub fn record_success(&self, endpoint: &Endpoint) {
        if endpoint.stats.consecutive_failures.load(Ordering::Relaxed) > 0 {
            endpoint.stats.consecutive_failures.store(0, Ordering::Relaxed);
        }
    }

    /// A server failed a request; `reason` in words.
    pub fn record_failure(&self, endpoint: &Endpoint, reason: &str) {
        endpoint.stats.failed.fetch_add(1, Ordering::Relaxed);
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
            // Another thread was here first.
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
            // One more failure is enough: this is a trial.
            let consecutive_failures = rules.map_or(0, |rules| rules.failures - 1);
            endpoint.stats.consecutive_failures.store(consecutive_failures, Ordering::Relaxed);
            self.begin_slow_start(&endpoint);
            log::info!("upstream {}: server {} gets requests again, on trial", self.name, endpoint.label);
        }
        if changed {
            self.note_change(&endpoints);
        } else {
            self.refresh(&endpoints);
        }
    }

    /// A server that came back gets its share little by little.
    pub(super) fn begin_slow_start(&self, endpoint: &Endpoint) {
        if !self.upstream.slow_start.is_zero() {
            endpoint.stats.begin_slow_start();
        }
    }
}
