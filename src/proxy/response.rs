//! The response as the client gets it: everything in which it differs from the upstream's.

use std::sync::Arc;

use http::{StatusCode, Version, header};
use pingora::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::error::Refusal;
use super::framing;
use super::keepalive::{self, close_if_body_is_withheld, end_bodyless_response};
use super::{request_id, server_timing, tracing};
use crate::filter::{Cause, Edited, Origin, RareFields, ResponseContext, hop_by_hop};
use crate::listener::ListenerIndex;

/// `head` is the upstream's.
pub fn prepare_response(session: &mut Session, head: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let rare = RareFields::in_fields(&head.headers);
    let mut edited = Edited::new(head);
    hop_by_hop::strip_response(&mut edited, rare);
    edited.outcome().map_err(Refusal::of)?;
    if head.status.is_informational() || head.status == StatusCode::NO_CONTENT {
        framing::drop_framing(head)?;
    }
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        switch_protocols(ctx)?;
    } else if head.status.is_informational() {
        return Ok(());
    }
    if head.status.is_success() && ctx.admission.upgrade && ctx.connection().is_some_and(|client| client.is_http2) {
        // Any 2xx is a tunnel there (RFC 8441 section 5).
        return Err(Refusal::of(Cause::NotSwitched).into());
    }
    if rare.odd_length {
        framing::settle_length(head)?;
    }
    if head.status != StatusCode::SWITCHING_PROTOCOLS && close_if_body_is_withheld(session, ctx) {
        end_bodyless_response(session, head, ctx);
    }
    // Ours, not the upstream's (RFC 9110 section 2.5).
    head.set_version(Version::HTTP_11);
    if rare.event_stream {
        begin_event_stream(ctx);
    }
    if rare.transfer_encoding && !framing::settle_coding(head, session.req_header().version)? {
        ctx.close_connection();
    }
    edit(session, head, rare, ctx)?;
    add_hsts(head, ctx)
}

/// Nothing more comes of the upstream's response: it is done, however long its client takes.
pub fn end_response(session: &mut Session, ctx: &mut RequestCtx) {
    ctx.place = None;
    tracing::end_attempt(ctx, None);
    keepalive::end_response(session, ctx);
}

/// The connection becomes a tunnel, if the client asked for one.
fn switch_protocols(ctx: &RequestCtx) -> Result<()> {
    if !ctx.admission.upgrade {
        let message = "101 to a request that asked for no upgrade";
        return Err(Error::explain(ErrorType::InvalidHTTPHeader, message).into_up());
    }
    let idle = ctx.timeouts().tunnel_idle;
    if let Some(exchange) = ctx.exchange() {
        exchange.become_tunnel(idle);
        // What is left of a body is part of the tunnel.
        exchange.deadlines.set_request_body(idle);
        exchange.deadlines.set_response(None, Some(idle));
    }
    Ok(())
}

fn begin_event_stream(ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        let idle = ctx.timeouts().tunnel_idle;
        exchange.become_tunnel(idle);
        exchange.deadlines.set_response(None, Some(idle));
    }
}

/// RFC 6797: what the client shall remember of this host, unless the upstream says it itself.
pub fn add_hsts(head: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(connection) = ctx.connection().filter(|connection| connection.tls.is_some()) else { return Ok(()) };
    let entrance = ctx.snapshot.entrances.get(ListenerIndex(connection.listener));
    match entrance.and_then(|entrance| entrance.hsts.as_ref()) {
        Some(hsts) if !head.headers.contains_key(header::STRICT_TRANSPORT_SECURITY) => {
            head.insert_header("Strict-Transport-Security", hsts.clone())
        }
        Some(_) | None => Ok(()),
    }
}

/// The route's filters, and the cookie that names the server.
fn edit(session: &Session, head: &mut ResponseHeader, rare: RareFields, ctx: &RequestCtx) -> Result<()> {
    let (Some(route), Some(pool), Some(pick)) = (ctx.route(), ctx.pool(), &ctx.attempts.pick) else {
        return Ok(());
    };
    let (request, mut response) = (ctx.request(session.req_header()), Edited::new(head));
    request_id::tell_client(&mut response, ctx);
    server_timing::tell(&mut response, ctx);
    ctx.findings.edit_response(&mut response);
    let origin = Origin::Upstream { authorities: pick.endpoint.authorities(), rare };
    route.filters.on_response(ResponseContext { request, response, origin }).map_err(Refusal::of)?;
    let mut response = Edited::new(head);
    ctx.findings.set_cookies(&mut response);
    response.outcome().map_err(Refusal::of)?;
    let is_new = ctx.attempts.sticky.as_ref().is_none_or(|sticky| !Arc::ptr_eq(sticky, &pick.endpoint));
    if let Some(sticky) = pool.sticky().filter(|_| is_new)
        && let Some(cookie) = pick.endpoint.set_cookie(sticky, request.is_secure())
    {
        head.append_header("Set-Cookie", cookie)?;
    }
    Ok(())
}
