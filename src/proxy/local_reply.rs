//! Whether a request gets its reply without an upstream.

use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::basic_auth;
use super::context::RequestCtx;
use super::forward_auth;
use super::oidc;
use super::shared_limit;
use crate::filter::{CodeExchange, FilterContext, Reply, Verdict};
use crate::upstream::Connector;

/// The reply that a request gets without an upstream: that of the first filter which has one,
/// that of the steps which have to wait for an answer from elsewhere, or else the action's.
///
/// A step comes after the filters, so that what they refuse costs no question, and before the
/// action, which then answers nobody whom a step turns away. It has a deadline of its own, and
/// answers with a [`Reply`] when that has passed. `explain` asks nobody. `asking`: the connections of
/// the worker for such questions.
pub async fn before_upstream(asking: &Connector, session: &mut Session, ctx: &mut RequestCtx) -> Option<Reply> {
    match of_filters(session.req_header(), ctx) {
        // Boxed as the steps below.
        Some(Reply::ExchangeCode(exchange)) => return Some(Box::pin(of_code(asking, session, ctx, exchange)).await),
        Some(reply) => return Some(reply),
        None => {}
    }
    if let Some(reply) = of_steps(asking, session, ctx).await {
        return Some(reply);
    }
    of_action(session.req_header(), ctx)
}

/// The reply at the end of a login, once the provider was asked; not more often than limits allow.
async fn of_code(
    asking: &Connector,
    session: &mut Session,
    ctx: &mut RequestCtx,
    exchange: Box<CodeExchange>,
) -> Reply {
    let is_limited = ctx.route().is_some_and(|route| !route.filters.shared_limits().is_empty());
    if is_limited && let Some(reply) = shared_limit::ask(session.req_header(), ctx).await {
        return reply;
    }
    oidc::reply(asking, session, ctx, *exchange).await
}

/// The reply of the first step that has one. How many requests there were is asked before who
/// sent them, which costs more.
async fn of_steps(asking: &Connector, session: &mut Session, ctx: &mut RequestCtx) -> Option<Reply> {
    let route = ctx.route()?;
    let (has_basic, has_forward) = (route.filters.basic().is_some(), route.forward_auth.is_some());
    // Boxed, so that the future of a request that waits for nobody stays small.
    if !route.filters.shared_limits().is_empty()
        && let Some(reply) = Box::pin(shared_limit::ask(session.req_header(), ctx)).await
    {
        return Some(reply);
    }
    // `auth` is one way to ask.
    if has_basic {
        return Box::pin(basic_auth::reply(session, ctx)).await;
    }
    if has_forward {
        return Box::pin(forward_auth::reply(asking, session, ctx)).await;
    }
    None
}

/// The reply of the first filter of the route which has one.
pub fn of_filters(head: &RequestHeader, ctx: &mut RequestCtx) -> Option<Reply> {
    let mut findings = std::mem::take(&mut ctx.findings);
    let mut cx = FilterContext { request: ctx.request(head), findings: &mut findings };
    let verdict = ctx.route()?.filters.on_request(&mut cx);
    ctx.findings = findings;
    match verdict {
        Verdict::Continue => None,
        Verdict::Reply(reply) => Some(reply),
    }
}

/// The reply of a route whose action is to give one.
pub fn of_action(head: &RequestHeader, ctx: &RequestCtx) -> Option<Reply> {
    ctx.route()?.action.reply(&ctx.request(head))
}
