//! How long a request may take: the deadlines that its exchange and its upstream get.

use std::time::{Duration, Instant};

use http::header;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::Session;

use super::context::RequestCtx;
use crate::upstream::Pool;

/// Sets the deadline of the client's body. Between two requests, `HttpService` keeps the
/// deadlines of the client.
pub fn begin_request(session: &mut Session, ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        exchange.deadlines.set_request_body(ctx.snapshot.timeouts.request_body_idle);
    }
    // Pingora's deadline cannot tell a slow client from one that waits for the upstream to
    // take its body.
    session.set_read_timeout(None);
}

/// Sets the deadlines of a request that waits for a server: that of the whole request only.
/// Those of the upstream's response, which an earlier attempt may have set, are removed.
pub fn wait_for_server(ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        exchange.deadlines.set_response(None, None);
        exchange.deadlines.set_request(ctx.deadline());
    }
}

/// Sets the deadlines of an attempt at a server of `pool`.
pub fn begin_attempt(session: &Session, ctx: &RequestCtx, pool: &Pool, peer: &mut HttpPeer) {
    let Some(exchange) = ctx.exchange() else { return };
    if ctx.admission.upgrade || wants_events(session) {
        let tunnel = ctx.snapshot.timeouts.tunnel_idle;
        peer.options.read_timeout = Some(tunnel);
        peer.options.write_timeout = Some(tunnel);
        exchange.deadlines.set_response(None, None);
        exchange.deadlines.set_request(None);
    } else {
        exchange.deadlines.set_response(pool.timeouts().response_header, pool.timeouts().read_idle);
        if let Some(deadline) = ctx.deadline() {
            exchange.deadlines.set_request(Some(deadline));
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let connect = peer.options.total_connection_timeout.map_or(left, |connect| connect.min(left));
            peer.options.connection_timeout = Some(connect);
            peer.options.total_connection_timeout = Some(connect);
        }
    }
    exchange.begin_upload(peer.options.write_timeout);
}

/// Event streams are quiet by nature, as tunnels are; a deadline meant for dead servers
/// must not cut them.
fn wants_events(session: &Session) -> bool {
    let accept = session.get_header(header::ACCEPT);
    accept.is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), b"text/event-stream").is_some())
}
