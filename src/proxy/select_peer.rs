//! Which server a request goes to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, header};
use pingora::{Error, ErrorType, Result};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::deadlines;
use super::error::Refusal;
use super::tracing;
use super::waiting::while_client_stays;
use crate::config::{KeySource, Sticky};
use crate::downstream::ClientConnection;
use crate::filter::Cause;
use crate::message::hash::hash;
use crate::message::{cookie, path, query};
use crate::runtime::{Action, Split};
use crate::upstream::{ClientAddress, Endpoint, Pick, PickRequest, Pool, Unavailable, session_of_our_own};

/// Which upstream of a route's split takes the request; 0 where there is none.
pub fn split_index(request: &RequestHeader, ctx: &RequestCtx) -> usize {
    match ctx.route().map(|route| &route.action) {
        Some(Action::Split(split)) => part_of_cookie(split, request)
            .unwrap_or_else(|| split.part(split.by.as_ref().and_then(|by| hash_of(by, request, ctx)))),
        Some(Action::Upstream(_) | Action::Redirect(_) | Action::Respond(_)) | None => 0,
    }
}

/// The part with the server that the client's sticky cookie names: who has a server stays there,
/// whatever the shares.
fn part_of_cookie(split: &Split, request: &RequestHeader) -> Option<usize> {
    let knows = |pool: &Arc<Pool>| pool.sticky().is_some_and(|sticky| sticky_endpoint(pool, sticky, request).is_some());
    split.parts.iter().position(knows)
}

/// One of several cookies of the same name may come with another path or domain.
fn sticky_endpoint(pool: &Pool, sticky: &Sticky, request: &RequestHeader) -> Option<Arc<Endpoint>> {
    cookies_of(request, &sticky.cookie).find_map(|value| pool.endpoint_of_cookie(value))
}

/// The server for the next attempt.
pub async fn select_peer(session: &mut Session, ctx: &mut RequestCtx) -> Result<Box<HttpPeer>> {
    let Some(pool) = ctx.pool().map(Arc::clone) else {
        return Error::e_explain(ErrorType::InternalError, "a route without an upstream was forwarded");
    };
    let now = Instant::now();
    ctx.attempts.began = Some(now);
    let request = pick_request(session.req_header(), ctx, &pool, now);
    // The one before counts no more.
    ctx.attempts.pick = None;
    let pick = match pool.pick(&request) {
        Err(Unavailable::AtCapacity) if pool.settings().pool.queue > 0 => wait(session, ctx, &pool, request).await?,
        Err(unavailable) => return refuse(ctx, unavailable),
        Ok(pick) => pick,
    };
    let is_fresh = std::mem::take(&mut ctx.attempts.needs_new_connection) || !pool.keeps_connections();
    let client = || client_address(ctx);
    let mut peer = Box::new(pick.endpoint.peer_for(ctx.admission.upgrade, is_fresh, client));
    peer.options.alpn = session_of_our_own();
    if ctx.attempts.count > 0 {
        pool.metrics().retried();
    }
    ctx.attempts.pick = Some(pick);
    ctx.attempts.count += 1;
    tracing::begin_attempt(ctx);
    deadlines::begin_attempt(session, ctx, &pool, &mut peer);
    Ok(peer)
}

/// The client as a server is told of it. Its port is known only where nobody else told of it.
pub fn client_address(ctx: &RequestCtx) -> Option<ClientAddress> {
    let remote = ctx.connection().and_then(|connection| connection.address);
    let local = ctx.connection().and_then(ClientConnection::local_address);
    let ip = ctx.admission.client_ip?;
    let port = remote.filter(|remote| remote.ip().to_canonical() == ip).map_or(0, |remote| remote.port());
    let unknown = || match ip {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    Some(ClientAddress { client: (ip, port).into(), server: local.unwrap_or_else(unknown) })
}

/// In the queue.
async fn wait(session: &mut Session, ctx: &mut RequestCtx, pool: &Arc<Pool>, request: PickRequest) -> Result<Pick> {
    deadlines::wait_for_server(ctx);
    let waiting = pool.wait(request, ctx.deadline());
    let began = Instant::now();
    let outcome = while_client_stays(session, waiting).await;
    ctx.attempts.waited(began);
    match outcome? {
        Ok(pick) => Ok(pick),
        Err(unavailable) => refuse(ctx, unavailable),
    }
}

fn refuse<T>(ctx: &RequestCtx, unavailable: Unavailable) -> Result<T> {
    let is_overdue = ctx.deadline().is_some_and(|deadline| deadline <= Instant::now());
    let cause = if is_overdue { Cause::RequestTimeout } else { cause_of(unavailable) };
    let seconds = match unavailable {
        Unavailable::AllDown(seconds) => seconds,
        Unavailable::NoAddress | Unavailable::AtCapacity | Unavailable::QueueTimeout => 1,
    };
    let retry_after = (!is_overdue).then_some(seconds);
    Err(Refusal { cause, retry_after }.into())
}

pub fn cause_of(unavailable: Unavailable) -> Cause {
    match unavailable {
        Unavailable::AllDown(_) => Cause::AllDown,
        Unavailable::NoAddress => Cause::NoAddress,
        Unavailable::AtCapacity => Cause::QueueFull,
        Unavailable::QueueTimeout => Cause::QueueTimeout,
    }
}

fn pick_request(request: &RequestHeader, ctx: &mut RequestCtx, pool: &Pool, now: Instant) -> PickRequest {
    if ctx.attempts.count == 0 {
        pool.budget.deposit(now);
        if let Some(sticky) = pool.sticky() {
            ctx.attempts.sticky = sticky_endpoint(pool, sticky, request);
        }
    }
    PickRequest {
        hash: pool.hash_source().and_then(|source| hash_of(source, request, ctx)),
        sticky: ctx.attempts.sticky.clone(),
        tried: ctx.attempts.tried.clone(),
    }
}

/// `None` where the request has nothing of the kind.
fn hash_of(source: &KeySource, request: &RequestHeader, ctx: &RequestCtx) -> Option<u64> {
    match source {
        KeySource::ClientIp => match ctx.admission.client_ip? {
            IpAddr::V4(ip) => Some(hash(&ip.octets())),
            IpAddr::V6(ip) => Some(hash(&ip.octets())),
        },
        KeySource::Header(name) => request.headers.get(name).map(|value| hash(value.as_bytes())),
        KeySource::Cookie(name) => cookies_of(request, name).next().map(hash),
        KeySource::Query(name) => {
            let query = path::split_query(ctx.target(request)).1?;
            query::get(query, name).map(|value| hash(value.as_bytes()))
        }
        KeySource::Path => Some(hash(path::split_query(ctx.target(request)).0.as_bytes())),
    }
}

fn cookies_of<'r>(request: &'r RequestHeader, name: &'r str) -> impl Iterator<Item = &'r [u8]> {
    let fields = request.headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    fields.flat_map(move |field| cookie::all(field, name))
}
