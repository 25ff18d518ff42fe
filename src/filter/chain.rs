//! The filters of a route, phase by phase, and how they are run.

use std::fmt::Debug;
use std::sync::Arc;

use http::HeaderName;

use super::basic_rule::BasicRule;
use super::cause::Cause;
use super::context::{FilterContext, ResponseContext, UpstreamRequestContext};
use super::oidc::OidcRule;
use super::rate_limit::{Counter, RateLimit};
use super::reply::Reply;
use crate::auth::oidc::Oidc;
use crate::auth::{BasicAuth, Jwt};
use crate::config::PathEdit;
use crate::limit::{Limiter, Store};

/// What becomes of a request.
#[derive(Debug)]
#[must_use]
pub enum Verdict {
    Continue,
    /// The client gets this answer, and no upstream sees the request.
    Reply(Reply),
}

/// A filter that decides whether the request goes on.
pub trait RequestFilter: Debug + Send + Sync {
    fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict;
}

/// A filter that edits the request that is sent to an upstream.
pub trait UpstreamRequestFilter: Debug + Send + Sync {
    fn on_upstream_request(&self, cx: &mut UpstreamRequestContext<'_>);
}

/// A filter that edits the response that the client gets.
pub trait ResponseFilter: Debug + Send + Sync {
    fn on_response(&self, cx: &mut ResponseContext<'_>);
}

/// All filters of one route, each in the phases in which it has work to do.
#[derive(Debug, Default)]
pub struct Chain {
    pub(super) request: Vec<Box<dyn RequestFilter>>,
    pub(super) upstream_request: Vec<Box<dyn UpstreamRequestFilter>>,
    pub(super) response: Vec<Box<dyn ResponseFilter>>,
    /// The edit of the path, for admission: no reading of the path may lead out of what it makes.
    pub(super) path_edit: Option<PathEdit>,
    /// Names and passwords, for the step that can wait for a check.
    pub(super) basic: Option<BasicRule>,
    /// The login, for the step that asks the provider.
    pub(super) oidc: Option<Arc<OidcRule>>,
    /// Whether the query has a secret, which no log is to have.
    pub(super) hides_query: bool,
    /// The limits that several proxies share, for the step that asks their stores.
    pub(super) shared_limits: Vec<Counter>,
    /// All limits, in the order of the configuration.
    pub(super) limits: Arc<[RateLimit]>,
    /// The fields that are not the client's to say behind a body.
    pub(super) withheld_trailers: Option<Arc<[HeaderName]>>,
    pub(super) learnt: Learnt,
}

/// What the filters of a route have learnt from its requests. The chain of the next configuration
/// begins with it, and each filter that is configured as it was goes on with its part.
#[derive(Clone, Debug, Default)]
pub struct Learnt {
    pub(super) basic: Option<Arc<BasicAuth>>,
    pub(super) jwt: Option<Arc<Jwt>>,
    pub(super) oidc: Option<Arc<Oidc>>,
    /// In the order of the configuration.
    pub(super) limiters: Vec<Arc<Limiter>>,
}

impl Chain {
    pub fn path_edit(&self) -> Option<&PathEdit> {
        self.path_edit.as_ref()
    }

    pub fn basic(&self) -> Option<&BasicRule> {
        self.basic.as_ref()
    }

    /// Reads the files again that have changed; `route` is the name, for the log.
    pub fn look_at_files(&self, route: &str) {
        let of = || format!("route `{route}`");
        self.basic.iter().for_each(|basic| basic.users.look_at_file(&of()));
        self.learnt.jwt.iter().for_each(|jwt| jwt.look_at_file(&of()));
        self.learnt.oidc.iter().for_each(|oidc| oidc.look_at_files(&of()));
    }

    /// What verifies tokens.
    pub fn jwt(&self) -> Option<&Arc<Jwt>> {
        self.learnt.jwt.as_ref()
    }

    /// The login that the route asks for.
    pub fn oidc(&self) -> Option<&Arc<OidcRule>> {
        self.oidc.as_ref()
    }

    /// Whether the query of a request has a secret; `path` is asked only where that depends on it.
    pub fn hides_query<'r>(&self, path: impl FnOnce() -> &'r str) -> bool {
        self.hides_query || self.oidc.as_ref().is_some_and(|oidc| oidc.callback_path == path())
    }

    pub fn withheld_trailers(&self) -> Option<&Arc<[HeaderName]>> {
        self.withheld_trailers.as_ref()
    }

    pub fn shared_limits(&self) -> &[Counter] {
        &self.shared_limits
    }

    /// The rate limits of the route.
    pub fn limiters(&self) -> &[Arc<Limiter>] {
        &self.learnt.limiters
    }

    /// The stores that are asked for these requests.
    pub fn stores(&self) -> impl Iterator<Item = &Arc<Store>> {
        self.shared_limits.iter().filter_map(|limit| limit.store())
    }

    /// Runs the filters up to the first one that answers.
    pub fn on_request(&self, cx: &mut FilterContext<'_>) -> Verdict {
        for filter in &self.request {
            match filter.on_request(cx) {
                Verdict::Continue => {}
                reply @ Verdict::Reply(_) => return reply,
            }
        }
        Verdict::Continue
    }

    /// Runs all filters, then gives the upstream request its target.
    ///
    /// # Errors
    /// When an edit did not succeed: such a request must not be sent.
    pub fn on_upstream_request(&self, mut cx: UpstreamRequestContext<'_>) -> Result<(), Cause> {
        for filter in &self.upstream_request {
            filter.on_upstream_request(&mut cx);
        }
        cx.finish()
    }

    /// Runs all filters.
    ///
    /// # Errors
    /// When an edit did not succeed: such a response must not be sent.
    pub fn on_response(&self, mut cx: ResponseContext<'_>) -> Result<(), Cause> {
        for filter in &self.response {
            filter.on_response(&mut cx);
        }
        cx.response.outcome()
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::tests::asked;
    use super::super::findings::Findings;
    use super::*;

    #[derive(Debug)]
    struct Says(Option<Cause>);

    impl RequestFilter for Says {
        fn on_request(&self, _: &mut FilterContext<'_>) -> Verdict {
            self.0.map_or(Verdict::Continue, |cause| Verdict::Reply(Reply::Error(cause)))
        }
    }

    #[test]
    fn the_first_filter_that_answers_decides() {
        let verdict = |says: &[Option<Cause>]| {
            let request = says.iter().map(|cause| Box::new(Says(*cause)) as _).collect();
            asked("/", |request_of| {
                let mut cx = FilterContext { request: *request_of, findings: &mut Findings::default() };
                Chain { request, ..Chain::default() }.on_request(&mut cx)
            })
        };
        assert!(matches!(verdict(&[]), Verdict::Continue));
        assert!(matches!(verdict(&[None, None]), Verdict::Continue));
        let refused = verdict(&[None, Some(Cause::MethodRefused), Some(Cause::Internal)]);
        assert!(matches!(refused, Verdict::Reply(Reply::Error(Cause::MethodRefused))));
    }
}
