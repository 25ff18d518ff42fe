//! The request as the upstream gets it: everything in which it differs from the client's.

use std::sync::Arc;

use pingora::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::error::Refusal;
use super::{request_id, tracing};
use crate::config::Underscores;
use crate::downstream::ClientConnection;
use crate::filter::{Cause, Edited, UpstreamRequestContext, hop_by_hop};
use crate::message::trailers::RequestTrailers;

/// Edits the request of a session. `upstream` is a copy of what the client sent.
pub fn edit_live_request(session: &Session, upstream: &mut RequestHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(connection) = ctx.connection() else {
        return Error::e_explain(ErrorType::InternalError, "a request without a client was forwarded");
    };
    Ok(edit_request(session.req_header(), connection, upstream, ctx).map_err(Refusal::of)?)
}

/// Edits a request, be it of a session or one that `explain` is asked about.
///
/// # Errors
/// When it must not be sent.
pub fn edit_request(
    client: &RequestHeader,
    connection: &ClientConnection,
    upstream: &mut RequestHeader,
    ctx: &RequestCtx,
) -> Result<(), Cause> {
    let Some(route) = ctx.route() else { return Err(Cause::Internal) };
    let mut upstream = Edited::new(upstream);
    let (trusted, upgrade) = (ctx.admission.remote_trusted, ctx.admission.upgrade);
    hop_by_hop::strip_request(&mut upstream, trusted, upgrade, true, ctx.snapshot.underscores);
    tracing::tell_upstream(&mut upstream, ctx);
    ctx.findings.edit_request(&mut upstream);
    let authority = ctx.attempts.pick.as_ref().and_then(|pick| pick.endpoint.authorities().first());
    let authority = authority.map(String::as_str);
    let request = ctx.request(client);
    let is_tls = ctx.pool().is_some_and(|pool| pool.settings().tls.is_some());
    let place = (if is_tls { "https" } else { "http" }, authority);
    let mut cx = UpstreamRequestContext::new(request, connection, place, upstream);
    cx.told_id = request_id::for_upstream(ctx);
    route.filters.on_upstream_request(cx)
}

/// Has the driver of the upstream's connection find the exchange with the request's head, and with it
/// what of the client's trailers goes on: they come behind a body.
pub fn attach_exchange(session: &mut Session, upstream: &mut RequestHeader, ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        if !session.as_mut().is_body_empty() {
            exchange.upload.set_trailer_rules(RequestTrailers {
                withheld: ctx.route().and_then(|route| route.filters.withheld_trailers()).cloned(),
                keeps_underscores: ctx.snapshot.underscores == Underscores::Keep,
            });
        }
        upstream.extensions_mut().insert(Arc::clone(exchange));
    }
}
