//! The forwarding side of the hooks: which server, what it is sent, what the
//! client gets back.

use std::time::{Duration, Instant};

use http::{StatusCode, Version, header};
use pingora::{Error, ErrorType, Result};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::reply::{Reply, fill};
use crate::downstream::Peer;
use crate::filter::{request, response};
use crate::message::location::Names;
use crate::runtime::Action;

/// How long the rest of a refused body is read before the connection is closed.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Those that apply while a request is under way; between two, `front` keeps them.
pub fn set_client_deadlines(session: &mut Session, ctx: &RequestCtx) {
    if Peer::of(session.digest()).is_none_or(Peer::ends_after_answer) {
        session.set_keepalive(None);
    }
    session.set_read_timeout(Some(ctx.snapshot.timeouts.request_body_idle));
    session.set_total_drain_timeout(Some(DRAIN_LIMIT));
    if session.req_header().version == Version::HTTP_10 {
        // An HTTP/1.0 client would take one for the answer (RFC 9110 section 15.2).
        session.set_ignore_info_resp(true);
    }
}

/// The reply of a route that answers by itself.
pub fn local_reply(session: &Session, ctx: &RequestCtx) -> Option<Reply> {
    match &ctx.route()?.action {
        Action::Upstream(_) => None,
        Action::Redirect { to, status } => Some(Reply::Redirect { location: fill(to, session, ctx), status: *status }),
        Action::Respond { status, body, headers } => {
            Some(Reply::Respond { status: *status, body: body.clone(), headers: headers.clone() })
        }
    }
}

/// The server for the next attempt.
pub fn next_peer(session: &Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
    let Some(pool) = ctx.pool() else {
        return Error::e_explain(ErrorType::InternalError, "a route without an upstream was forwarded");
    };
    let pick = pool.pick(ctx.attempt.failed);
    let silence = meant_to_be_silent(session, ctx).then_some(ctx.snapshot.timeouts.tunnel_idle);
    let peer = Box::new(pool.peer(pick, silence));
    ctx.attempt.pick = Some(pick);
    ctx.attempt.count += 1;
    ctx.attempt.began = Some(Instant::now());
    Ok(peer)
}

/// WebSockets and event streams are quiet by nature; an idle deadline meant for
/// dead servers must not cut them.
fn meant_to_be_silent(session: &Session, ctx: &RequestCtx) -> bool {
    ctx.upgrade
        || session
            .get_header(header::ACCEPT)
            .is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), b"text/event-stream").is_some())
}

/// A connection that was never made has sent nothing: any method may go elsewhere.
pub fn may_try_another(ctx: &mut RequestCtx) -> bool {
    ctx.attempt.failed = ctx.attempt.pick;
    let servers = ctx.pool().map_or(0, |pool| pool.len());
    usize::try_from(ctx.attempt.count).is_ok_and(|count| count < servers)
}

/// Whether a final answer can still be given: 101 is one, other 1xx are not.
pub fn is_unanswered(session: &Session) -> bool {
    session
        .response_written()
        .is_none_or(|head| head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS)
}

/// Everything the upstream request differs in from the client's.
pub fn prepare_request(session: &Session, upstream: &mut RequestHeader, ctx: &RequestCtx) -> Result<()> {
    let client = session.req_header();
    request::strip(upstream, ctx.peer_trusted, ctx.upgrade)?;
    let (Some(route), Some(peer)) = (ctx.route(), Peer::of(session.digest())) else {
        return Error::e_explain(ErrorType::InternalError, "a request without a route or a peer was forwarded");
    };
    let edited = {
        let target = match &ctx.target {
            Some(target) => target.as_str(),
            None => std::str::from_utf8(client.raw_path()).unwrap_or("/"),
        };
        request::edited_target(target, &route.request)
    };
    if let Some(target) = edited.as_deref().or(ctx.target.as_deref()) {
        upstream.set_raw_path(target.as_bytes())?;
    }
    let hop = request::Hop { peer, trusted: ctx.peer_trusted, host: &ctx.host, scheme: "http" };
    request::set_forwarded(upstream, &hop)?;
    let authority = ctx.pool().zip(ctx.attempt.pick).and_then(|(pool, pick)| pool.authorities(pick).first());
    request::edit_headers(upstream, &route.request, authority.map(String::as_str))
}

/// Everything the client's response differs in from the upstream's.
pub fn prepare_response(session: &mut Session, head: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    response::strip_hop_by_hop(head)?;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if !ctx.upgrade {
            return Err(
                Error::explain(ErrorType::InvalidHTTPHeader, "101 to a request that asked for no upgrade").into_up()
            );
        }
        // Pingora's read timeout covers the tunnel too.
        session.set_read_timeout(Some(ctx.snapshot.timeouts.tunnel_idle));
    } else if head.status.is_informational() {
        return Ok(());
    }
    if let (Some(peer), Some(date)) = (Peer::of(session.digest()), head.headers.get(header::DATE)) {
        peer.keep_date(date.clone());
    }
    if session.req_header().version == Version::HTTP_10 && head.headers.contains_key(header::TRANSFER_ENCODING) {
        // An HTTP/1.0 client reads to the end of the connection (RFC 9112 section 6.1).
        response::remove(head, &header::TRANSFER_ENCODING)?;
        session.set_keepalive(None);
    }
    let (Some(route), Some(pool), Some(pick)) = (ctx.route(), ctx.pool(), ctx.attempt.pick) else {
        return Ok(());
    };
    let origin = response::Origin {
        names: Names {
            upstream: pool.authorities(pick),
            our_scheme: ctx.scheme,
            our_host: ctx.host(),
            stripped: route.stripped.as_deref(),
        },
        secure: ctx.scheme == "https",
    };
    response::edit(head, &route.response, Some(&origin))
}
