//! The forwarding side of the hooks: which server, what it is sent, what the
//! client gets back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version, header};
use pingora::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::choose;
use super::context::RequestCtx;
use super::reply::{end_if_closing, fill, settle_unread_body};
use crate::downstream::{Activity, Peer, followed};
use crate::filter::{Cause, Reply, request, response};
use crate::message::forwarded::believed_host;
use crate::message::location::Names;
use crate::observe::ErrorSource;
use crate::runtime::Action;

/// How long the rest of a refused body is read before the connection is closed.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// Those that apply while a request is under way; between two, `front` keeps them.
pub fn set_client_deadlines(session: &mut Session, ctx: &RequestCtx) {
    end_if_closing(session);
    if let Some(peer) = Peer::of(session.digest()) {
        peer.expect_body_within(ctx.snapshot.timeouts.request_body_idle);
    }
    // A client that waits for the upstream to take its body is not slow, which
    // Pingora's deadline could not tell.
    session.set_read_timeout(None);
    session.set_total_drain_timeout(Some(DRAIN_LIMIT));
    // It would end the connection after an interim response too; `settle_unread_body`
    // sees to final ones.
    session.set_close_on_response_before_downstream_finish(false);
    if session.req_header().version == Version::HTTP_10 {
        // An HTTP/1.0 client would take one for the answer (RFC 9110 section 15.2).
        session.set_ignore_info_resp(true);
    }
}

/// The reply of a route that answers by itself.
pub fn local_reply(request: &RequestHeader, ctx: &RequestCtx) -> Option<Reply> {
    match &ctx.route()?.action {
        Action::Upstream(_) | Action::Split(_) => None,
        Action::Redirect { to, status } => Some(Reply::Redirect { location: fill(to, request, ctx), status: *status }),
        Action::Respond { status, body, headers } => {
            Some(Reply::Respond { status: *status, body: body.clone(), headers: headers.clone() })
        }
    }
}

/// A client that still sends would lose an answer to a connection that is closed at once.
pub async fn drain(session: &mut Session, cause: Cause) {
    // Who waits for 100 does not send (RFC 9110 section 10.1.1).
    let waits = session.req_header().headers.contains_key(header::EXPECT) && session.body_bytes_read() == 0;
    match cause.source() {
        // What it sends is not worth reading.
        ErrorSource::Client => {}
        ErrorSource::Proxy | ErrorSource::Upstream if waits => {}
        ErrorSource::Proxy | ErrorSource::Upstream => {
            if let Err(e) = session.as_mut().drain_request_body().await {
                log::debug!("the rest of a body was not read: {e}");
            }
        }
    }
}

/// Whether a final answer can still be given: 101 is one, other 1xx are not.
pub fn is_unanswered(session: &Session) -> bool {
    session
        .response_written()
        .is_none_or(|head| head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS)
}

/// Has the connection know when the upstream took this piece of a body.
pub fn follow_body(session: &Session, body: &mut Option<Bytes>) {
    if let Some(bytes) = body.take_if(|bytes| !bytes.is_empty() && !session.was_upgraded()) {
        *body = Some(followed(bytes, session.digest()));
    }
}

/// Everything the upstream request differs in from the client's.
pub fn prepare_request(session: &Session, upstream: &mut RequestHeader, ctx: &RequestCtx) -> Result<()> {
    let Some(peer) = Peer::of(session.digest()) else {
        return Error::e_explain(ErrorType::InternalError, "a request without a peer was forwarded");
    };
    change_request(session.req_header(), peer, upstream, ctx)
}

/// `upstream` is a copy of what the client sent.
pub fn change_request(
    client: &RequestHeader,
    peer: &Peer,
    upstream: &mut RequestHeader,
    ctx: &RequestCtx,
) -> Result<()> {
    request::strip(upstream, ctx.peer_trusted, ctx.upgrade)?;
    let Some(route) = ctx.route() else {
        return Error::e_explain(ErrorType::InternalError, "a request without a route was forwarded");
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
    if client.version == Version::HTTP_10 && !ctx.host.is_empty() && !upstream.headers.contains_key(header::HOST) {
        upstream.insert_header(header::HOST, ctx.host.clone())?;
    }
    let hop = request::Hop { peer, trusted: ctx.peer_trusted, host: &ctx.host, scheme: "http" };
    request::set_forwarded(upstream, &hop)?;
    let authority = ctx.attempt.pick.as_ref().and_then(|pick| pick.server.authorities().first());
    request::edit_headers(upstream, &route.request, authority.map(String::as_str))
}

/// Everything the client's response differs in from the upstream's.
pub fn prepare_response(session: &mut Session, head: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    end_if_closing(session);
    let seen = response::Seen::in_fields(&head.headers);
    response::strip_hop_by_hop(head, seen)?;
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if !ctx.upgrade {
            return Err(
                Error::explain(ErrorType::InvalidHTTPHeader, "101 to a request that asked for no upgrade").into_up()
            );
        }
        // Pingora's read timeout covers the tunnel too.
        session.set_read_timeout(Some(ctx.snapshot.timeouts.tunnel_idle));
        choose::set_deadline(session, None);
    } else if head.status.is_informational() {
        return Ok(());
    } else {
        settle_unread_body(session);
    }
    response::settle_length(head)?;
    // Ours, not the upstream's (RFC 9110 section 2.5).
    head.set_version(Version::HTTP_11);
    if is_event_stream(head) {
        if let Some(peer) = Peer::of(session.digest()) {
            peer.set_activity(Activity::Tunnel);
            peer.end_by(None);
        }
        choose::set_longest_wait(session, None, Some(ctx.snapshot.timeouts.tunnel_idle));
    }
    if seen.transfer_encoding
        && let Some(coding) = head.headers.get(header::TRANSFER_ENCODING)
    {
        if !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "unknown transfer coding").into_up());
        }
        if session.req_header().version == Version::HTTP_10 {
            // An HTTP/1.0 client reads to the end of the connection (RFC 9112 section 6.1).
            response::remove(head, &header::TRANSFER_ENCODING)?;
            session.set_keepalive(None);
        }
    }
    if let (Some(peer), Some(date)) = (Peer::of(session.digest()), response::date(head)) {
        peer.keep_date(date);
    }
    let (Some(route), Some(pool), Some(pick)) = (ctx.route(), ctx.pool(), &ctx.attempt.pick) else {
        return Ok(());
    };
    response::rename(head, seen, &route.response, || response::Origin {
        names: Names {
            upstream: pick.server.authorities(),
            our_scheme: ctx.scheme,
            our_host: our_host(session, ctx),
            asked_host: ctx.host(),
            stripped: route.stripped.as_deref(),
        },
        secure: ctx.scheme == "https",
    })?;
    response::edit(head, &route.response.headers)?;
    match pool.sticky().filter(|_| ctx.attempt.own.as_ref().is_none_or(|own| !Arc::ptr_eq(own, &pick.server))) {
        Some(sticky) => response::add_cookie(head, pick.server.set_cookie(sticky, ctx.scheme == "https")),
        None => Ok(()),
    }
}

/// What the client calls us, by the word of a trusted proxy or its own.
fn our_host<'r>(session: &'r Session, ctx: &'r RequestCtx) -> &'r str {
    let field = |name: &str| session.get_header(name).map(HeaderValue::as_bytes);
    let believed = ctx.peer_trusted.then(|| believed_host(field("x-forwarded-host"), field("forwarded")));
    believed.flatten().unwrap_or_else(|| ctx.host())
}

fn is_event_stream(head: &ResponseHeader) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.and_then(|kind| kind.get(..17)).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}
