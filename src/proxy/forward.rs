//! The forwarding side of the hooks: which server, what it is sent, what the
//! client gets back.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Version, header};
use pingora::{Error, ErrorType, Result};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::fail::Cause;
use super::reply::{Reply, end_if_closing, fill, settle_unread_body};
use crate::downstream::{Activity, Peer, followed};
use crate::filter::{request, response};
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
        Action::Upstream(_) => None,
        Action::Redirect { to, status } => Some(Reply::Redirect { location: fill(to, request, ctx), status: *status }),
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
    let tunnel = ctx.snapshot.timeouts.tunnel_idle;
    // A pooled connection may belong to another thread's reactor, which can see a quick 101
    // before this thread has looked for the end of the request; Pingora then takes that
    // end for the end of the tunnel (its issue 946).
    let mut peer = Box::new(if ctx.upgrade { pool.unpooled_peer(pick) } else { pool.peer(pick) });
    if ctx.upgrade || wants_events(session) {
        peer.options.read_timeout = Some(tunnel);
        peer.options.write_timeout = Some(tunnel);
        set_longest_wait(session, None, None);
    } else {
        set_longest_wait(session, pool.timeouts().response_header, pool.timeouts().read_idle);
    }
    if let Some(client) = Peer::of(session.digest()) {
        client.begin_upload(peer.options.write_timeout);
    }
    ctx.attempt.pick = Some(pick);
    ctx.attempt.count += 1;
    ctx.attempt.began = Some(Instant::now());
    Ok(peer)
}

fn set_longest_wait(session: &Session, for_head: Option<Duration>, for_more: Option<Duration>) {
    if let Some(peer) = Peer::of(session.digest()) {
        peer.wait_at_most(for_head, for_more);
    }
}

/// Event streams are quiet by nature, as tunnels are; a deadline meant for dead
/// servers must not cut them.
fn wants_events(session: &Session) -> bool {
    let accept = session.get_header(header::ACCEPT);
    accept.is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), b"text/event-stream").is_some())
}

/// A connection that was never made has sent nothing: any method may go elsewhere.
pub fn may_try_another(ctx: &mut RequestCtx) -> bool {
    ctx.attempt.failed = ctx.attempt.pick;
    let servers = ctx.pool().map_or(0, |pool| pool.len());
    usize::try_from(ctx.attempt.count).is_ok_and(|count| count < servers)
}

/// A client that still sends would lose an answer to a connection that is closed at once.
pub async fn drain(session: &mut Session, cause: Cause) {
    match cause.source() {
        // What it sends is not worth reading.
        ErrorSource::Client => {}
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
    let authority = ctx.pool().zip(ctx.attempt.pick).and_then(|(pool, pick)| pool.authorities(pick).first());
    request::edit_headers(upstream, &route.request, authority.map(String::as_str))
}

/// An upstream that answers with ever more interim responses is broken.
const MOST_INTERIM: u32 = 16;

/// What the log tells of the upstream's answer.
pub fn note_response(head: &ResponseHeader, ctx: &mut RequestCtx) -> Result<()> {
    if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS {
        ctx.attempt.interim += 1;
        if ctx.attempt.interim > MOST_INTERIM {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "too many interim responses").into_up());
        }
    } else {
        ctx.attempt.status = Some(head.status.as_u16());
        ctx.attempt.ttfb = Some(ctx.started.elapsed());
    }
    Ok(())
}

/// Everything the client's response differs in from the upstream's.
pub fn prepare_response(session: &mut Session, head: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    end_if_closing(session);
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
    } else {
        settle_unread_body(session);
    }
    response::settle_length(head)?;
    // Ours, not the upstream's (RFC 9110 section 2.5).
    head.set_version(Version::HTTP_11);
    if is_event_stream(head) {
        if let Some(peer) = Peer::of(session.digest()) {
            peer.set_activity(Activity::Tunnel);
        }
        set_longest_wait(session, None, Some(ctx.snapshot.timeouts.tunnel_idle));
    }
    if let Some(coding) = head.headers.get(header::TRANSFER_ENCODING) {
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
    let (Some(route), Some(pool), Some(pick)) = (ctx.route(), ctx.pool(), ctx.attempt.pick) else {
        return Ok(());
    };
    let origin = response::Origin {
        names: Names {
            upstream: pool.authorities(pick),
            our_scheme: ctx.scheme,
            our_host: our_host(session, ctx),
            asked_host: ctx.host(),
            stripped: route.stripped.as_deref(),
        },
        secure: ctx.scheme == "https",
    };
    response::edit(head, &route.response, Some(&origin))
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
