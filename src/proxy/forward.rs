//! The forwarding side of the hooks: which server, what it is sent, what the
//! client gets back.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, Version, header};
use pingora::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::reply::{end_if_closing, settle_unread_body};
use super::{choose, fail, framing};
use crate::downstream::{Activity, Date, Peer, followed};
use crate::filter::{
    Cause, Edited, Origin, Present, Reply, ResponseContext, UpstreamRequestContext, Verdict, hop_by_hop,
};
use crate::observe::ErrorSource;

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

/// The answer that a request gets without an upstream: that of the first filter which
/// has one, or else the route's action.
///
/// A step that awaits something from elsewhere (external authorization, a limit that
/// several processes share) belongs between the two, so that what the filters refuse
/// costs no such question, and no action answers before the step has agreed. It calls
/// by its name what it asks, has a deadline of its own, and answers with a `Reply` when
/// that has passed. `explain` says that it would ask.
pub fn local_reply(request: &RequestHeader, ctx: &RequestCtx) -> Option<Reply> {
    let route = ctx.route()?;
    let request = ctx.request(request);
    let verdict = match route.filters.on_request(&request) {
        Verdict::Continue => route.action.on_request(&request),
        reply @ Verdict::Reply(_) => reply,
    };
    match verdict {
        Verdict::Continue => None,
        Verdict::Reply(reply) => Some(reply),
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
pub fn prepare_request(session: &Session, upstream: &mut RequestHeader, ctx: &mut RequestCtx) -> Result<()> {
    let Some(peer) = Peer::of(session.digest()) else {
        return Error::e_explain(ErrorType::InternalError, "a request without a peer was forwarded");
    };
    change_request(session.req_header(), peer, upstream, ctx).map_err(|cause| {
        ctx.refused = Some(cause);
        fail::internal(cause)
    })
}

/// `upstream` is a copy of what the client sent.
///
/// # Errors
/// When it must not be sent.
pub fn change_request(
    client: &RequestHeader,
    peer: &Peer,
    upstream: &mut RequestHeader,
    ctx: &RequestCtx,
) -> Result<(), Cause> {
    let Some(route) = ctx.route() else { return Err(Cause::Internal) };
    let mut upstream = Edited::new(upstream);
    hop_by_hop::strip_request(&mut upstream, ctx.peer_trusted, ctx.upgrade);
    let authority = ctx.attempt.pick.as_ref().and_then(|pick| pick.server.authorities().first());
    let authority = authority.map(String::as_str);
    route.filters.on_upstream_request(UpstreamRequestContext::new(ctx.request(client), peer, authority, upstream))
}

/// Everything the client's response differs in from the upstream's.
pub fn prepare_response(session: &mut Session, head: &mut ResponseHeader, ctx: &RequestCtx) -> Result<()> {
    end_if_closing(session);
    let present = Present::in_fields(&head.headers);
    let mut edited = Edited::new(head);
    hop_by_hop::strip_response(&mut edited, present);
    edited.outcome().map_err(fail::internal)?;
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
    framing::settle_length(head)?;
    // Ours, not the upstream's (RFC 9110 section 2.5).
    head.set_version(Version::HTTP_11);
    if is_event_stream(head) {
        if let Some(peer) = Peer::of(session.digest()) {
            peer.set_activity(Activity::Tunnel);
            peer.end_by(None);
        }
        choose::set_longest_wait(session, None, Some(ctx.snapshot.timeouts.tunnel_idle));
    }
    if present.transfer_encoding && !framing::settle_coding(head, session.req_header().version)? {
        session.set_keepalive(None);
    }
    if let (Some(peer), Some(date)) = (Peer::of(session.digest()), date(head)) {
        peer.keep_date(date);
    }
    let (Some(route), Some(pool), Some(pick)) = (ctx.route(), ctx.pool(), &ctx.attempt.pick) else {
        return Ok(());
    };
    let (request, response) = (ctx.request(session.req_header()), Edited::new(head));
    let origin = Origin::Upstream { authorities: pick.server.authorities(), present };
    route.filters.on_response(ResponseContext { request, response, origin }).map_err(fail::internal)?;
    let is_new = ctx.attempt.own.as_ref().is_none_or(|own| !Arc::ptr_eq(own, &pick.server));
    if let Some(sticky) = pool.sticky().filter(|_| is_new)
        && let Some(cookie) = pick.server.set_cookie(sticky, ctx.scheme == "https")
    {
        head.append_header("Set-Cookie", cookie)?;
    }
    Ok(())
}

/// The `Date` of an upstream's response, as it came.
fn date(head: &ResponseHeader) -> Option<Date> {
    let is_date = |name: &[u8]| name.eq_ignore_ascii_case(header::DATE.as_str().as_bytes());
    let (name, value) = head.case_header_iter().find(|(name, _)| is_date(name.as_slice()))?;
    Some(Date { name: name.as_slice().try_into().ok()?, value: value.clone() })
}

fn is_event_stream(head: &ResponseHeader) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.and_then(|kind| kind.get(..17)).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}
