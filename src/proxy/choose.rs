//! Which server a request goes to, and how long that one may take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, header};
use pingora::{Error, ErrorType, Result};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::fail::Cause;
use crate::config::KeySource;
use crate::downstream::Peer;
use crate::message::hash::hash;
use crate::message::{cookie, path, query};
use crate::runtime::Action;
use crate::upstream::{Pick, Pool, Shortage, Wish};

/// Which part of a route's split takes the request; 0 where there is none.
pub fn part(request: &RequestHeader, ctx: &RequestCtx) -> usize {
    match ctx.route().map(|route| &route.action) {
        Some(Action::Split(split)) => split.part(split.by.as_ref().and_then(|by| hash_of(by, request, ctx))),
        Some(Action::Upstream(_) | Action::Redirect(_) | Action::Respond(_)) | None => 0,
    }
}

/// The server for the next attempt.
pub async fn next_peer(session: &mut Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
    let Some(pool) = ctx.pool().map(Arc::clone) else {
        return Error::e_explain(ErrorType::InternalError, "a route without an upstream was forwarded");
    };
    let now = Instant::now();
    let wish = wish(session.req_header(), ctx, &pool, now);
    // The one before counts no more.
    ctx.attempt.pick = None;
    let pick = match pool.pick(&wish) {
        Err(Shortage::Full) if pool.settings().pool.queue > 0 => wait(session, ctx, &pool, wish).await?,
        Err(shortage) => return refuse(ctx, shortage),
        Ok(pick) => pick,
    };
    let fresh = std::mem::take(&mut ctx.attempt.fresh) || !pool.keeps_connections();
    // A pooled connection may belong to another thread's reactor, which can see a quick 101
    // before this thread has looked for the end of the request; Pingora then takes that
    // end for the end of the tunnel (its issue 946).
    let unpooled = ctx.upgrade || fresh;
    let mut peer = Box::new(if unpooled { pick.server.unpooled_peer() } else { pick.server.peer() });
    ctx.attempt.pick = Some(pick);
    ctx.attempt.count += 1;
    ctx.attempt.began = Some(now);
    set_deadlines(session, ctx, &pool, &mut peer);
    Ok(peer)
}

/// In the queue. A client that has said all that it has to say is watched meanwhile: who
/// leaves makes room for others.
async fn wait(session: &mut Session, ctx: &mut RequestCtx, pool: &Arc<Pool>, wish: Wish) -> Result<Pick> {
    // Those of an earlier request or attempt are not those of waiting.
    set_longest_wait(session, None, None);
    set_deadline(session, ctx.deadline());
    let waiting = pool.wait(wish, ctx.deadline());
    let picked = if session.as_mut().is_body_done() {
        tokio::select! {
            picked = waiting => picked,
            gone = session.as_mut().read_body_or_idle(true) => {
                let gone = gone.err().unwrap_or_else(|| Error::new(ErrorType::ConnectionClosed));
                return Err(gone.into_down());
            }
        }
    } else {
        waiting.await
    };
    match picked {
        Ok(pick) => Ok(pick),
        Err(shortage) => refuse(ctx, shortage),
    }
}

fn set_deadlines(session: &Session, ctx: &RequestCtx, pool: &Pool, peer: &mut HttpPeer) {
    if ctx.upgrade || wants_events(session) {
        let tunnel = ctx.snapshot.timeouts.tunnel_idle;
        peer.options.read_timeout = Some(tunnel);
        peer.options.write_timeout = Some(tunnel);
        set_longest_wait(session, None, None);
        set_deadline(session, None);
    } else {
        set_longest_wait(session, pool.timeouts().response_header, pool.timeouts().read_idle);
        if let Some(due) = ctx.deadline() {
            set_deadline(session, Some(due));
            let left = due.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            let connect = peer.options.total_connection_timeout.map_or(left, |connect| connect.min(left));
            peer.options.connection_timeout = Some(connect);
            peer.options.total_connection_timeout = Some(connect);
        }
    }
    if let Some(client) = Peer::of(session.digest()) {
        client.begin_upload(peer.options.write_timeout);
    }
}

/// How long the upstream may keep the client waiting: for the head, and for more.
pub fn set_longest_wait(session: &Session, for_head: Option<Duration>, for_more: Option<Duration>) {
    if let Some(peer) = Peer::of(session.digest()) {
        peer.wait_at_most(for_head, for_more);
    }
}

/// When all of it has to be done.
pub fn set_deadline(session: &Session, due: Option<Instant>) {
    if let Some(peer) = Peer::of(session.digest()) {
        peer.end_by(due);
    }
}

/// Event streams are quiet by nature, as tunnels are; a deadline meant for dead
/// servers must not cut them.
fn wants_events(session: &Session) -> bool {
    let accept = session.get_header(header::ACCEPT);
    accept.is_some_and(|accept| memchr::memmem::find(accept.as_bytes(), b"text/event-stream").is_some())
}

fn refuse<T>(ctx: &mut RequestCtx, shortage: Shortage) -> Result<T> {
    let is_overdue = ctx.deadline().is_some_and(|due| due <= Instant::now());
    let cause = if is_overdue { Cause::RequestTimeout } else { cause_of(shortage) };
    ctx.refused = Some(cause);
    ctx.retry_after = Some(match shortage {
        Shortage::AllDown(seconds) => seconds,
        Shortage::NoAddress | Shortage::Full | Shortage::Waited => 1,
    });
    Error::e_explain(ErrorType::InternalError, cause.message())
}

pub fn cause_of(shortage: Shortage) -> Cause {
    match shortage {
        Shortage::AllDown(_) => Cause::AllDown,
        Shortage::NoAddress => Cause::NoAddress,
        Shortage::Full => Cause::QueueFull,
        Shortage::Waited => Cause::QueueTimeout,
    }
}

fn wish(request: &RequestHeader, ctx: &mut RequestCtx, pool: &Pool, now: Instant) -> Wish {
    if ctx.attempt.count == 0 {
        pool.budget.deposit(now);
        if let Some(sticky) = pool.sticky() {
            // One of the same name may come with another path or domain.
            ctx.attempt.own = cookies_of(request, &sticky.cookie).find_map(|value| pool.of_cookie(value));
        }
    }
    Wish {
        hash: pool.hashed().and_then(|source| hash_of(source, request, ctx)),
        sticky: ctx.attempt.own.clone(),
        tried: ctx.attempt.tried.clone(),
    }
}

/// `None` where the request has nothing of the kind.
fn hash_of(source: &KeySource, request: &RequestHeader, ctx: &RequestCtx) -> Option<u64> {
    let target = || match &ctx.target {
        Some(target) => target.as_str(),
        None => std::str::from_utf8(request.raw_path()).unwrap_or("/"),
    };
    match source {
        KeySource::ClientIp => match ctx.client_ip? {
            IpAddr::V4(ip) => Some(hash(&ip.octets())),
            IpAddr::V6(ip) => Some(hash(&ip.octets())),
        },
        KeySource::Header(name) => request.headers.get(name).map(|value| hash(value.as_bytes())),
        KeySource::Cookie(name) => cookies_of(request, name).next().map(hash),
        KeySource::Query(name) => {
            let query = path::split_query(target()).1?;
            query::get(query, name).map(|value| hash(value.as_bytes()))
        }
        KeySource::Path => Some(hash(path::split_query(target()).0.as_bytes())),
    }
}

fn cookies_of<'r>(request: &'r RequestHeader, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
    let fields = request.headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    fields.flat_map(move |field| cookie::all(field, name))
}
