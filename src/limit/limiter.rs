//! A [`Limiter`]: one limit of a route with all that it has counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use log::Level;

use super::key::Key;
use super::quota::{Decision, Quota};
use super::store::Store;
use super::table::{Counted, Table};
use crate::config::RateLimit;
use crate::transport::Complaints;

#[derive(Debug)]
pub struct Limiter {
    /// As it stands in the configuration.
    settings: RateLimit,
    route: String,
    quota: Quota,
    table: Table,
    shared: Option<Shared>,
    start: Instant,
    /// What the log says of a table that is too small.
    crowded: Complaints,
    /// What the log says of requests that are let pass by `dry_run`.
    passed: Complaints,
    refusals: AtomicU64,
    dry_run_refusals: AtomicU64,
}

/// Where proxies count together.
#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    /// What the names of this limit's keys begin with. Proxies that limit otherwise, as in the
    /// middle of a rollout, count apart.
    prefix: String,
    timeout: Duration,
}

impl Limiter {
    /// # Errors
    /// In words, when the store's name or a certificate cannot be used.
    pub fn new(route: &str, settings: &RateLimit) -> Result<Self, String> {
        let burst = settings.burst();
        let shared = settings.store.as_ref().map(|address| {
            Ok::<_, String>(Shared {
                store: Store::of(address, settings)?,
                prefix: format!("pingora-proxy:limit:{route}:{}:{}:{burst}:", settings.key, settings.rate),
                timeout: settings.store_timeout,
            })
        });
        Ok(Self {
            quota: Quota::new(settings.rate, burst),
            table: Table::new(settings.max_keys),
            shared: shared.transpose()?,
            settings: settings.clone(),
            route: route.to_owned(),
            start: Instant::now(),
            crowded: Complaints::default(),
            passed: Complaints::default(),
            refusals: AtomicU64::new(0),
            dry_run_refusals: AtomicU64::new(0),
        })
    }

    /// Whether what it has counted holds for this limit too.
    pub fn is_configured_as(&self, settings: &RateLimit) -> bool {
        RateLimit { dry_run: self.settings.dry_run, ..settings.clone() } == self.settings
    }

    pub fn quota(&self) -> &Quota {
        &self.quota
    }

    /// The store to ask, where proxies count together.
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.shared.as_ref().map(|shared| &shared.store)
    }

    /// Counts a request in this process.
    pub fn take(&self, key: &Key<'_>) -> (Decision, Counted) {
        let (decision, forgot, counted) = self.table.take(key, &self.quota, self.now());
        self.tell_forgot(forgot);
        (decision, counted)
    }

    /// Gives back a request that passed here and was refused elsewhere. What its key has now.
    pub fn give_back(&self, key: &Key<'_>, counted: Counted) -> Decision {
        self.table.give_back(key, &self.quota, counted, self.now())
    }

    /// The refusal of a request that the store would refuse, by what it said last of this key: no
    /// proxy can make its debt smaller.
    pub fn known_refusal(&self, key: &Key<'_>) -> Option<Decision> {
        Some(self.table.look(key, &self.quota, self.now())).filter(|decision| !decision.passes)
    }

    /// Counts a request where proxies count together, or in this process while the store is away.
    /// That knows what the store has said, so that nobody gets a new burst from each proxy then. What
    /// can be given back was counted in this process.
    pub async fn ask(&self, key: &Key<'_>) -> (Decision, Option<Counted>) {
        let here = |(decision, counted)| (decision, Some(counted));
        let Some(shared) = &self.shared else { return here(self.take(key)) };
        let name = format!("{}{}", shared.prefix, key.shared_name());
        let asked_at = self.now();
        let Some(taken) = shared.store.take(&name, &self.quota, shared.timeout).await else {
            return here(self.take(key));
        };
        let interval = u64::try_from(self.quota.interval().as_nanos()).unwrap_or(u64::MAX);
        let debt = if taken.passes { taken.debt } else { taken.debt.saturating_sub(interval) };
        // Counted from when it was asked, the key has paid here no later than in the store.
        self.tell_forgot(self.table.note(key, asked_at.saturating_add(debt), self.now()));
        (self.quota.read(taken.debt, taken.passes), None)
    }

    /// What it counts by, as the configuration says it.
    pub fn key(&self) -> String {
        self.settings.key.to_string()
    }

    pub fn note_refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// The requests that were refused, and those that passed because of `dry_run`.
    pub fn refusals(&self) -> (u64, u64) {
        (self.refusals.load(Ordering::Relaxed), self.dry_run_refusals.load(Ordering::Relaxed))
    }

    /// Tells the log of a request that passes because of `dry_run`.
    pub fn tell_passed(&self, client: &dyn std::fmt::Display) {
        self.dry_run_refusals.fetch_add(1, Ordering::Relaxed);
        let (route, rate, key) = (&self.route, self.settings.rate, &self.settings.key);
        let what = format_args!(
            "route `{route}`: a request of {client} would be refused by `rate_limit` ({rate} by {key}), and passes by `dry_run`"
        );
        self.passed.say(Level::Warn, module_path!(), &what);
    }

    fn tell_forgot(&self, forgot: bool) {
        if forgot {
            let (route, most) = (&self.route, self.settings.max_keys);
            let what = format_args!(
                "route `{route}`: more keys are active than the `max_keys` of its `rate_limit`, {most}: \
                 those with the fewest requests are forgotten"
            );
            self.crowded.say(Level::Warn, module_path!(), &what);
        }
    }

    /// In nanoseconds; there are enough for five centuries.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
