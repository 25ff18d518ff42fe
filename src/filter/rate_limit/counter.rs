//! One limit among those of its route: what it refuses is given back by the others.

use std::sync::Arc;

use super::limit::RateLimit;
use crate::filter::context::FilterContext;
use crate::filter::reply::Reply;
use crate::limit::Store;

#[derive(Debug)]
pub struct Counter {
    /// All limits of the route, and which one this is.
    limits: Arc<[RateLimit]>,
    at: usize,
}

impl Counter {
    pub(super) fn new(limits: Arc<[RateLimit]>, at: usize) -> Self {
        Self { limits, at }
    }

    /// The reply to a request that is above the limit, as far as this process knows.
    pub(super) fn count(&self, cx: &mut FilterContext<'_>) -> Option<Reply> {
        let reply = self.limits.get(self.at)?.count(cx);
        self.concluded(cx, reply)
    }

    /// The reply to a request that is above a limit which several proxies share.
    pub async fn ask(&self, cx: &mut FilterContext<'_>) -> Option<Reply> {
        let reply = self.limits.get(self.at)?.ask(cx).await;
        self.concluded(cx, reply)
    }

    pub fn store(&self) -> Option<&Arc<Store>> {
        self.limits.get(self.at)?.store()
    }

    /// What is refused is given back.
    fn concluded(&self, cx: &mut FilterContext<'_>, reply: Option<Reply>) -> Option<Reply> {
        let refused = reply?;
        for (at, counted) in cx.findings.take_counted() {
            if let Some(limit) = self.limits.get(at) {
                limit.give_back(cx, counted);
            }
        }
        Some(refused)
    }
}
