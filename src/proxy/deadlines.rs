//! How long a request may take: the deadlines that its exchange and its upstream get.

use std::time::{Duration, Instant};

use http::{Version, header};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::Session;

use super::context::RequestCtx;
use crate::exchange::Pace;
use crate::upstream::Pool;

/// Sets the deadline of the client's body. Between two requests, `HttpService` keeps the
/// deadlines of the client.
pub fn begin_request(session: &mut Session, ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        exchange.deadlines.set_request_body(ctx.snapshot.timeouts.request_body_idle);
        if !session.as_mut().is_body_empty() && asks_for_continue(session) {
            exchange.await_continue();
        }
    }
}

/// Sets what the route has in the place of the whole file's deadlines.
pub fn begin_route(ctx: &RequestCtx) {
    let own = ctx.route().and_then(|route| route.timeouts.as_deref());
    if let (Some(timeouts), Some(exchange)) = (own, ctx.exchange()) {
        exchange.deadlines.set_request_body(timeouts.request_body_idle);
        exchange.deadlines.set_pace(Pace { write_idle: timeouts.write_idle, min_rate: timeouts.min_rate });
    }
}

/// HTTP/1.0 knows no 100 (RFC 9110 section 10.1.1).
fn asks_for_continue(session: &Session) -> bool {
    let request = session.req_header();
    request.version != Version::HTTP_10 && request.headers.contains_key(header::EXPECT)
}

/// Sets the deadlines of a request that waits for a server: that of the whole request only.
/// Those of the upstream's response, which an earlier attempt may have set, are removed.
pub fn wait_for_server(ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        exchange.deadlines.set_response(None, None);
        exchange.deadlines.set_request(ctx.deadline());
    }
}

/// Sets the deadlines of an attempt at a server of `pool`. Nothing that the client says of
/// itself removes one: what a tunnel or an event stream has instead follows from the response.
pub fn begin_attempt(session: &mut Session, ctx: &RequestCtx, pool: &Pool, peer: &mut HttpPeer) {
    let Some(exchange) = ctx.exchange() else { return };
    let (timeouts, idle) = (pool.timeouts(), ctx.timeouts().tunnel_idle);
    if ctx.route().is_some_and(|route| route.stream) {
        exchange.become_stream(idle);
    } else {
        exchange.deadlines.set_response(timeouts.response_header, timeouts.read_idle);
    }
    if let Some(deadline) = ctx.deadline() {
        exchange.deadlines.set_request(Some(deadline));
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let connect = peer.options.total_connection_timeout.map_or(left, |connect| connect.min(left));
        peer.options.total_connection_timeout = Some(connect);
    }
    if ctx.admission.upgrade {
        allow_for_tunnel(session, peer, idle);
    }
    exchange.begin_attempt();
}

/// Pingora takes the deadlines of an upstream's connection before it knows whether that
/// becomes a tunnel. This one is long enough for one.
fn allow_for_tunnel(session: &mut Session, peer: &mut HttpPeer, idle: Duration) {
    // A body is sent before the response is there.
    if session.as_mut().is_body_empty() {
        peer.options.write_timeout = Some(idle);
    }
}
