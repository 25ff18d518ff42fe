//! `rate_limit`: counts requests, and refuses those above the limit with 429.
//!
//! A limit that a fleet shares asks its store in a step of its own (`proxy::shared_limit`); before
//! that the filter refuses what the store is known to refuse.
//!
//! A request that one limit refuses is given back by those that have counted it in this process, so that
//! what is refused uses nothing up. The store is asked once for each limit, and keeps what it counted.

mod counter;
mod limit;
mod policy;

use std::sync::Arc;

use super::chain::{Chain, RequestFilter, Verdict};
use super::context::FilterContext;
use crate::config::{LimitKey, Route};
use crate::limit::Limiter;
pub use counter::Counter;
pub(super) use limit::RateLimit;

/// The limits that are counted by what everybody shows: they protect the filters that find out who
/// a client is.
pub fn add(route: &Route, chain: &mut Chain) -> Result<(), String> {
    let known = std::mem::take(&mut chain.learnt.limiters);
    let limiter = |settings| match known.iter().find(|limiter| limiter.is_configured_as(settings)) {
        Some(limiter) => Ok(Arc::clone(limiter)),
        None => Limiter::new(&route.name, settings).map(Arc::new),
    };
    chain.learnt.limiters = route.rate_limits.iter().map(limiter).collect::<Result<_, _>>()?;
    let list = route.rate_limits.iter().zip(&chain.learnt.limiters).enumerate();
    let limit = |(at, (settings, limiter)): (usize, (_, &Arc<Limiter>))| {
        RateLimit::new(&route.rate_limits, at, settings, Arc::clone(limiter))
    };
    chain.limits = list.map(limit).collect();
    join(chain, |key| !matches!(key, LimitKey::Claim(_)));
    Ok(())
}

/// The limits that are counted by who the client was found to be.
pub fn add_by_claim(_route: &Route, chain: &mut Chain) -> Result<(), String> {
    join(chain, |key| matches!(key, LimitKey::Claim(_)));
    Ok(())
}

fn join(chain: &mut Chain, wanted: impl Fn(&LimitKey) -> bool) {
    for (at, limit) in chain.limits.iter().enumerate().filter(|(_, limit)| wanted(limit.key())) {
        let counter = || Counter::new(Arc::clone(&chain.limits), at);
        if limit.store().is_some() {
            chain.shared_limits.push(counter());
        }
        chain.request.push(Box::new(Counts(counter())));
    }
}

/// A limit in the chain of a route.
#[derive(Debug)]
struct Counts(Counter);

impl RequestFilter for Counts {
    fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict {
        self.0.count(cx).map_or(Verdict::Continue, Verdict::Reply)
    }
}

#[cfg(test)]
mod tests;
