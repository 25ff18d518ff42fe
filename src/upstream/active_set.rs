//! The endpoints that may get requests now, with everything that is needed to choose one.
//! An [`ActiveSet`] is made anew whenever an endpoint comes or goes, so that a request
//! finds all of it ready.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::balance::{Balancer, WeightedEndpoint};
use super::endpoint::Endpoint;
use super::health::HealthStatus;
use super::sticky::Tag;
use crate::config::Balance;

#[derive(Debug)]
pub struct ActiveSet {
    pub endpoints: Vec<Arc<Endpoint>>,
    balancer: Balancer,
    /// Endpoints for requests that have tried all others: backups, then ejected ones.
    fallbacks: Vec<Arc<Endpoint>>,
    /// By the tag in their clients' cookies; draining endpoints are among them.
    sticky: HashMap<Tag, Arc<Endpoint>>,
    /// When the next ejection ends, if an endpoint is ejected.
    pub next_return: Option<Instant>,
    /// The version of the endpoints' health states from which the set was made.
    pub version: u64,
    /// The number of all endpoints, whatever their state.
    pub total: usize,
}

impl ActiveSet {
    /// `all` are the endpoints in the order of the configuration; `position` is where the
    /// round robin of the previous set had come to.
    pub fn new(all: &[Arc<Endpoint>], balance: &Balance, position: usize, version: u64) -> Self {
        let (mut primaries, mut backups, mut ejected) = (Vec::new(), Vec::new(), Vec::new());
        let (mut sticky, mut next_return) = (HashMap::new(), None::<Instant>);
        for endpoint in all {
            let health = endpoint.stats.health();
            match health.status() {
                HealthStatus::Up if endpoint.backup => backups.push(Arc::clone(endpoint)),
                HealthStatus::Up => primaries.push(Arc::clone(endpoint)),
                HealthStatus::Ejected => ejected.push(Arc::clone(endpoint)),
                HealthStatus::Down | HealthStatus::Draining | HealthStatus::Disabled => {}
            }
            if let Some(cookie) = endpoint.cookie.as_ref().filter(|_| health.serves_sticky_clients()) {
                sticky.insert(cookie.tag, Arc::clone(endpoint));
            }
            next_return = next_return.into_iter().chain(health.ejected_until()).min();
        }
        let (endpoints, mut fallbacks) = if primaries.is_empty() { (backups, primaries) } else { (primaries, backups) };
        fallbacks.append(&mut ejected);
        let weights: Vec<u32> = endpoints.iter().map(|endpoint| endpoint.weight()).collect();
        let shares: Vec<WeightedEndpoint<'_>> = endpoints
            .iter()
            .zip(weights)
            .map(|(endpoint, weight)| WeightedEndpoint { weight, load: &endpoint.stats.load, name: &endpoint.label })
            .collect();
        let balancer = Balancer::new(balance, &shares, position);
        Self { endpoints, balancer, fallbacks, sticky, next_return, version, total: all.len() }
    }

    pub fn position(&self) -> usize {
        self.balancer.position()
    }

    /// The endpoint whose tag the value of a sticky cookie is.
    pub fn endpoint_of_cookie(&self, value: &[u8]) -> Option<&Arc<Endpoint>> {
        self.sticky.get(<&Tag>::try_from(value).ok()?)
    }

    /// Whether the clients that stick to this endpoint may go on.
    pub fn keeps(&self, own: &Endpoint) -> bool {
        let tag = own.cookie.as_ref().map(|cookie| cookie.tag);
        tag.and_then(|tag| self.sticky.get(&tag)).is_some_and(|kept| Arc::ptr_eq(&kept.stats, &own.stats))
    }

    /// An endpoint that has room and was not tried.
    pub fn choose(&self, hash: Option<u64>, tried: &[Arc<Endpoint>]) -> Option<&Arc<Endpoint>> {
        if let ([only], []) = (self.endpoints.as_slice(), tried) {
            return only.has_room().then_some(only);
        }
        let fits = |endpoint: &Arc<Endpoint>| endpoint.has_room() && is_untried(endpoint, tried);
        let is_wanted = |index: usize| self.endpoints.get(index).is_some_and(|s| fits(s) && s.passes_slow_start(hash));
        if let Some(index) = self.balancer.choose(hash, is_wanted) {
            return self.endpoints.get(index);
        }
        // Random choice or slow start found none: any endpoint that fits is better than none.
        let start = fastrand::usize(..self.endpoints.len().max(1));
        let (before, after) = self.endpoints.split_at_checked(start)?;
        let found = after.iter().chain(before).find(|endpoint| fits(endpoint));
        found.or_else(|| self.untried_fallbacks(tried).find(|endpoint| endpoint.has_room()))
    }

    /// Whether an endpoint was not tried, with room or not.
    pub fn has_another(&self, tried: &[Arc<Endpoint>]) -> bool {
        self.endpoints.iter().any(|endpoint| is_untried(endpoint, tried))
            || self.untried_fallbacks(tried).next().is_some()
    }

    /// The fallbacks, once all others were tried: one that was ejected is better than
    /// none.
    fn untried_fallbacks(&self, tried: &[Arc<Endpoint>]) -> impl Iterator<Item = &Arc<Endpoint>> {
        let is_needed = self.endpoints.iter().all(|endpoint| !is_untried(endpoint, tried));
        self.fallbacks.iter().filter(move |endpoint| is_needed && is_untried(endpoint, tried))
    }
}

/// Whether the endpoint is none of those that were tried.
pub fn is_untried(endpoint: &Arc<Endpoint>, tried: &[Arc<Endpoint>]) -> bool {
    !tried.iter().any(|t| Arc::ptr_eq(&t.stats, &endpoint.stats))
}
