//! How long a request may take: the deadlines that its exchange and its upstream get.

use std::time::{Duration, Instant};

use http::header;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::Session;

use super::context::RequestCtx;
use crate::upstream::Pool;

/// Those of the client, which apply while a request is under way; between two, the service
/// keeps them.
pub fn begin(session: &mut Session, ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        exchange.deadlines.set_request_body(ctx.snapshot.timeouts.request_body_idle);
    }
    // Pingora's deadline cannot tell a slow client from one that waits for the upstream to
    // take its body.
    session.set_read_timeout(None);
}

/// Those while the request waits for a server: its own and no upstream's, for those that an
/// earlier attempt left are not those of waiting.
pub fn wait_for_server(ctx: &RequestCtx) {
    if let Some(exchange) = ctx.exchange() {
        exchange.deadlines.set_response(None, None);
        exchange.deadlines.set_request(ctx.deadline());
    }
}

/// Those of an attempt at a server of `pool`.
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
        if let Some(due) = ctx.deadline() {
            exchange.deadlines.set_request(Some(due));
            let left = due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
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
