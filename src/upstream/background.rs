//! What goes on beside the requests: each endpoint is checked, each name is looked up
//! again. No request ever waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::destination_order::in_order;
use super::endpoint::Endpoint;
use super::endpoints::LookupOutcome;
use super::health_check::check_once;
use super::pool::Pool;
use super::resolve::{ResolvedAddress, Resolver};
use crate::config::{ActiveCheck, Lookup, Named, ServerPlace};

/// The first checks of a pool are spread over this time at most.
const FIRST_CHECK_SPREAD: Duration = Duration::from_secs(1);

impl Pool {
    /// Checks endpoints and looks names up until the future is dropped.
    pub async fn run_background(self: Arc<Self>, resolver: Arc<Resolver>) {
        let mut lookups = JoinSet::new();
        for (entry, named) in self.names() {
            lookups.spawn(lookup_loop(Arc::clone(&self), entry, named, Arc::clone(&resolver)));
        }
        let Some(check) = self.settings().health.active.clone() else {
            while lookups.join_next().await.is_some() {}
            return;
        };
        let mut checks = JoinSet::new();
        let mut checked: HashMap<usize, AbortHandle> = HashMap::new();
        loop {
            let changed = self.changed.notified();
            let endpoints = self.all_endpoints();
            checked.retain(|known, task| {
                let stays = endpoints.iter().any(|endpoint| identity(endpoint) == *known);
                if !stays {
                    task.abort();
                }
                stays
            });
            for endpoint in endpoints {
                checked
                    .entry(identity(&endpoint))
                    .or_insert_with(|| checks.spawn(check_loop(Arc::clone(&self), endpoint, check.clone())));
            }
            changed.await;
            while checks.try_join_next().is_some() {}
        }
    }

    /// Looks every name up once, side by side.
    pub async fn resolve_once(self: Arc<Self>, resolver: Arc<Resolver>) {
        let mut lookups = JoinSet::new();
        for (entry, named) in self.names() {
            let (pool, resolver) = (Arc::clone(&self), Arc::clone(&resolver));
            lookups.spawn(async move { pool.apply_lookup(entry, look_up(&named, &resolver).await) });
        }
        while lookups.join_next().await.is_some() {}
    }

    fn names(&self) -> Vec<(usize, Named)> {
        let place = |(entry, place): (usize, &ServerPlace)| match place {
            ServerPlace::Named(named) => Some((entry, named.clone())),
            ServerPlace::At(_) => None,
        };
        self.settings().servers.iter().map(|server| &server.address.place).enumerate().filter_map(place).collect()
    }

    fn apply_lookup(self: &Arc<Self>, entry: usize, found: Result<Vec<ResolvedAddress>, String>) {
        let mut endpoints = self.endpoints();
        match endpoints.apply_lookup(entry, found, self.settings()) {
            Ok(LookupOutcome::Unchanged) => return,
            Ok(LookupOutcome::Failed(text)) => return log::warn!("upstream {}: {text}", self.name),
            Ok(LookupOutcome::Changed(text)) => log::info!("upstream {}: {text}", self.name),
            Err(reason) => return log::error!("upstream {}: {reason}", self.name),
        }
        self.note_change(&endpoints);
        drop(endpoints);
        self.changed.notify_one();
        self.serve_queue();
    }

    fn apply_check(self: &Arc<Self>, endpoint: &Endpoint, check: &ActiveCheck, found: Result<(), String>) {
        let none_up = self.active().endpoints.is_empty();
        let good = found.is_ok();
        let Some(change) = endpoint.stats.health().record_check(found, check, none_up) else { return };
        let level = if good { log::Level::Info } else { log::Level::Warn };
        log::log!(level, "upstream {}: server {} is {change}", self.name, endpoint.label);
        if good {
            endpoint.stats.consecutive_failures.store(0, std::sync::atomic::Ordering::Relaxed);
            self.begin_slow_start(endpoint);
        }
        self.note_change(&self.endpoints());
        if self.available() == 0 {
            log::error!("upstream {}: no server is left; requests get 503", self.name);
        }
        self.serve_queue();
    }
}

/// Tells endpoints apart for as long as they are held.
fn identity(endpoint: &Arc<Endpoint>) -> usize {
    Arc::as_ptr(endpoint).addr()
}

/// Looks up the names that have no address yet, on a thread of its own, for `longest` at
/// most, so that the first requests to their upstreams need not be refused.
pub fn resolve_initial(pools: &[Arc<Pool>], resolver: &Arc<Resolver>, longest: Duration) {
    let unknown = pools.iter().filter(|pool| pool.endpoints().lacks_addresses());
    let pools: Vec<Arc<Pool>> = unknown.map(Arc::clone).collect();
    if pools.is_empty() {
        return;
    }
    let resolver = Arc::clone(resolver);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut all: JoinSet<()> = pools.into_iter().map(|pool| pool.resolve_once(Arc::clone(&resolver))).collect();
            let every = async { while all.join_next().await.is_some() {} };
            // A name that takes longer is found by `Pool::run_background`.
            tokio::time::timeout(longest, every).await.ok();
        });
        Ok::<_, std::io::Error>(())
    });
    match thread.join() {
        Ok(Ok(())) => {}
        Ok(Err(e)) => log::error!("names could not be looked up: {e}"),
        Err(_) => log::error!("names could not be looked up"),
    }
}

async fn look_up(named: &Named, resolver: &Resolver) -> Result<Vec<ResolvedAddress>, String> {
    match named.kind {
        Lookup::One { port } => resolver.addresses(&named.name, port).await.map(to_be_tried),
        Lookup::Each { port } => resolver.addresses(&named.name, port).await,
        Lookup::Services => resolver.services(&named.name).await,
    }
}

/// The addresses of one server, the one to be tried first in front.
fn to_be_tried(found: Vec<ResolvedAddress>) -> Vec<ResolvedAddress> {
    let addresses = in_order(found.into_iter().map(|found| found.address).collect());
    addresses.into_iter().map(|address| ResolvedAddress { address, weight: 1 }).collect()
}

async fn lookup_loop(pool: Arc<Pool>, entry: usize, named: Named, resolver: Arc<Resolver>) {
    loop {
        pool.apply_lookup(entry, look_up(&named, &resolver).await);
        for gone in pool.endpoints().take_removed() {
            tokio::spawn(gone.retire());
        }
        tokio::time::sleep(with_jitter(named.refresh)).await;
    }
}

async fn check_loop(pool: Arc<Pool>, endpoint: Arc<Endpoint>, check: ActiveCheck) {
    tokio::time::sleep(check.interval.min(FIRST_CHECK_SPREAD).mul_f64(fastrand::f64() / 4.0)).await;
    loop {
        let found = check_once(&endpoint, &check).await;
        pool.apply_check(&endpoint, &check, found);
        tokio::time::sleep(with_jitter(check.interval)).await;
    }
}

/// The time, give or take a tenth, so that many proxies do not ask at the same moment.
fn with_jitter(time: Duration) -> Duration {
    time.mul_f64(0.9 + fastrand::f64() / 5.0)
}
