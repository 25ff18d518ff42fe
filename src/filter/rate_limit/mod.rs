//! `rate_limit`: counts requests, and refuses those above the limit with 429.
//!
//! A limit that a fleet shares asks its store in a step of its own (`proxy::shared_limit`); before
//! that the filter refuses what the store is known to refuse.

mod limit;
mod policy;

use std::sync::Arc;

use super::chain::{Chain, RequestFilter, Verdict};
use super::context::FilterContext;
use crate::config::{LimitKey, Route};
use crate::limit::Limiter;
pub use limit::RateLimit;

/// The limits that are counted by what everybody shows: they protect the filters that find out who
/// a client is.
pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let known = std::mem::take(&mut chain.learnt.limiters);
    let limiter = |settings| match known.iter().find(|limiter| limiter.is_configured_as(settings)) {
        Some(limiter) => Ok(Arc::clone(limiter)),
        None => Limiter::new(&route.name, settings).map(Arc::new),
    };
    chain.learnt.limiters = route.rate_limits.iter().map(limiter).collect::<Result<_, _>>()?;
    join(route, chain, |key| !matches!(key, LimitKey::Claim(_)));
    Ok(())
}

/// The limits that are counted by who the client was found to be.
pub fn add_by_claim(route: &Route, chain: &mut Chain) -> Result<(), String> {
    join(route, chain, |key| matches!(key, LimitKey::Claim(_)));
    Ok(())
}

fn join(route: &Route, chain: &mut Chain, wanted: impl Fn(&LimitKey) -> bool) {
    let limiters = chain.learnt.limiters.clone();
    for (at, (settings, limiter)) in route.rate_limits.iter().zip(limiters).enumerate() {
        if !wanted(&settings.key) {
            continue;
        }
        let same_key = route.rate_limits.iter().take(at).filter(|other| other.key == settings.key).count();
        let limit = Arc::new(RateLimit::new(settings, limiter, same_key));
        if limit.store().is_some() {
            chain.shared_limits.push(Arc::clone(&limit));
        }
        chain.request.push(Box::new(Counter(limit)));
    }
}

/// A limit in the chain of a route.
#[derive(Debug)]
struct Counter(Arc<RateLimit>);

impl RequestFilter for Counter {
    fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict {
        self.0.count(cx).map_or(Verdict::Continue, Verdict::Reply)
    }
}

#[cfg(test)]
mod tests;
