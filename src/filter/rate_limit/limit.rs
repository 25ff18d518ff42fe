//! One limit of a route: what it counts a request by, and what the client is told of that.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

use super::policy::{Policy, seconds};
use crate::config::{LimitKey, RateLimit as Settings};
use crate::filter::cause::Cause;
use crate::filter::context::{FilterContext, FilterRequest};
use crate::filter::findings::Findings;
use crate::filter::reply::Reply;
use crate::limit::{Counted, Decision, Key, Limiter, Store};
use crate::message::alike::are_alike;
use crate::message::cookie;

/// The value that all of them are.
fn the_one<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Option<&'v [u8]> {
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

#[derive(Debug)]
pub struct RateLimit {
    limiter: Arc<Limiter>,
    key: LimitKey,
    policy: Policy,
    dry_run: bool,
    /// Its place in the route's list; `None` where there is no other limit.
    at: Option<usize>,
}

impl RateLimit {
    /// The limit at a place of the route's list.
    pub(super) fn new(list: &[Settings], at: usize, settings: &Settings, limiter: Arc<Limiter>) -> Self {
        let same_key = list.iter().take(at).filter(|other| other.key == settings.key).count();
        let policy = Policy::new(&settings.key, same_key, limiter.quota());
        let at = (list.len() > 1).then_some(at);
        Self { limiter, key: settings.key.clone(), policy, dry_run: settings.dry_run, at }
    }

    /// The reply to a request that is above the limit, as far as this process knows.
    pub(super) fn count(&self, cx: &mut FilterContext<'_>) -> Option<Reply> {
        let key = self.key_of(&cx.request, cx.findings);
        let (decision, counted) = match self.limiter.store() {
            None => {
                let (decision, counted) = self.limiter.take(&key);
                (decision, Some(counted))
            }
            // What passes by `dry_run` is counted in the store, so that the log is right.
            Some(_) => (self.limiter.known_refusal(&key).filter(|_| !self.dry_run)?, None),
        };
        self.reply(cx, decision, counted)
    }

    /// The same of a limit that several proxies share, as its store knows: that is waited for no
    /// longer than `store_timeout`.
    pub(super) async fn ask(&self, cx: &mut FilterContext<'_>) -> Option<Reply> {
        let (decision, counted) = self.limiter.ask(&self.key_of(&cx.request, cx.findings)).await;
        self.reply(cx, decision, counted)
    }

    /// Another limit of the route has refused a request that this one has counted.
    pub(super) fn give_back(&self, cx: &mut FilterContext<'_>, counted: Counted) {
        let decision = self.limiter.give_back(&self.key_of(&cx.request, cx.findings), counted);
        if !self.dry_run {
            self.policy.correct(cx.findings, decision);
        }
    }

    pub(super) fn key(&self) -> &LimitKey {
        &self.key
    }

    pub(super) fn store(&self) -> Option<&Arc<Store>> {
        self.limiter.store()
    }

    /// With several values the request has none: services differ on which of them they read, and each
    /// could be joined by one that nobody has had. All such requests are counted together.
    fn key_of<'k>(&self, request: &FilterRequest<'k>, findings: &'k Findings) -> Key<'k> {
        let value = match &self.key {
            LimitKey::ClientIp => return request.client_ip.map_or(Key::One, Key::Address),
            LimitKey::Route => None,
            LimitKey::Header(name) => {
                let headers = &request.head.headers;
                let is_disguised = |other: &HeaderName| other != name && are_alike(other.as_str(), name.as_str());
                let values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
                the_one(values).filter(|_| !headers.keys().any(is_disguised))
            }
            LimitKey::Cookie(name) => {
                let fields = request.head.headers.get_all(header::COOKIE).iter();
                the_one(fields.flat_map(|field| cookie::all(field.as_bytes(), name)).map(cookie::unquoted))
            }
            LimitKey::Claim(name) => findings.claim(name).map(str::as_bytes),
        };
        value.map_or(Key::One, Key::Value)
    }

    fn reply(&self, cx: &mut FilterContext<'_>, decision: Decision, counted: Option<Counted>) -> Option<Reply> {
        if let (true, Some(at), Some(counted)) = (decision.passes, self.at, counted) {
            cx.findings.note_counted(at, counted);
        }
        if self.dry_run {
            if !decision.passes {
                match cx.request.client_ip {
                    Some(ip) => self.limiter.tell_passed(&ip),
                    None => self.limiter.tell_passed(&"a client without an address"),
                }
            }
            return None;
        }
        self.policy.tell(cx.findings, decision);
        if decision.passes {
            return None;
        }
        self.limiter.note_refused();
        cx.findings.tell_client(header::RETRY_AFTER, HeaderValue::from(seconds(decision.wait)));
        Some(Reply::Error(Cause::RateLimited))
    }
}
