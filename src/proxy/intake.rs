//! The first look at a request: is it one that can be forwarded, who sent it,
//! and which route takes it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Version, header};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::context::RequestCtx;
use super::fail::Cause;
use crate::downstream::Peer;
use crate::filter::request::asks_for_upgrade;
use crate::message::hop::connection_has;
use crate::message::{client, host, path};
use crate::route::RequestView;

/// Checks the request, fills the context and finds the route.
pub fn admit(session: &Session, ctx: &mut RequestCtx) -> Result<(), Cause> {
    let request = session.req_header();
    check_fields(&request.headers)?;
    identify(session, ctx);
    ctx.upgrade = asks_for_upgrade(request);
    ctx.host = checked_host(request)?;
    let target = origin_form(request)?;
    let (path_part, query) = path::split_query(&target);
    let resolved = path::resolve(path_part).ok_or(Cause::TargetInvalid)?;
    let authority = ctx.host.to_str().unwrap_or("");
    let bare_host = host::split(authority).map_or("", |(name, _)| name);
    let view = RequestView {
        method: &request.method,
        host: &host::normalize(bare_host),
        path: &resolved.matched,
        query: query.unwrap_or(""),
        headers: &request.headers,
        client_ip: ctx.client_ip,
    };
    ctx.route = Some(ctx.snapshot.table.find(&view).ok_or(Cause::NoRoute)?);
    // An edit must see the path that was matched.
    let edited = ctx.route().is_some_and(|route| route.request.path.is_some());
    let forwarded = if edited { resolved.matched } else { resolved.forwarded };
    let as_sent = forwarded == path_part && request.raw_path() == target.as_bytes();
    ctx.target = (!as_sent).then(|| match query {
        Some(query) => format!("{forwarded}?{query}"),
        None => forwarded.into_owned(),
    });
    Ok(())
}

/// Fields that Connection may not take away, and expectations we cannot meet.
fn check_fields(headers: &HeaderMap) -> Result<(), Cause> {
    const PROTECTED: [&[u8]; 6] =
        [b"content-length", b"transfer-encoding", b"authorization", b"cookie", b"forwarded", b"host"];
    if headers.contains_key(header::CONNECTION) && PROTECTED.iter().any(|name| connection_has(headers, name)) {
        return Err(Cause::RequestInvalid);
    }
    match headers.get(header::EXPECT) {
        Some(expect) if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") => Err(Cause::ExpectationFailed),
        Some(_) | None => Ok(()),
    }
}

fn identify(session: &Session, ctx: &mut RequestCtx) {
    ctx.peer_ip = Peer::of(session.digest()).and_then(|peer| peer.ip);
    let Some(peer) = ctx.peer_ip else {
        return;
    };
    ctx.client_ip = Some(peer);
    if ctx.snapshot.trusted_proxies.is_empty() {
        return;
    }
    ctx.peer_trusted = client::is_in(peer, &ctx.snapshot.trusted_proxies);
    if ctx.peer_trusted {
        ctx.client_ip = Some(believed_client(session.req_header(), peer, ctx));
        let proto = session.get_header("x-forwarded-proto").map(HeaderValue::as_bytes);
        if proto.is_some_and(|proto| proto.eq_ignore_ascii_case(b"https")) {
            ctx.scheme = "https";
        }
    }
}

fn believed_client(request: &RequestHeader, peer: IpAddr, ctx: &RequestCtx) -> IpAddr {
    let fields = request.headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    client::from_forwarded_for(peer, fields, &ctx.snapshot.trusted_proxies)
}

/// RFC 9112 section 3.2. That there is no second one was seen to before.
fn checked_host(request: &RequestHeader) -> Result<HeaderValue, Cause> {
    match request.headers.get(header::HOST) {
        Some(value) => {
            let text = value.to_str().map_err(|_| Cause::HostInvalid)?;
            host::split(text).ok_or(Cause::HostInvalid)?;
            Ok(value.clone())
        }
        None if request.version == Version::HTTP_10 => Ok(HeaderValue::from_static("")),
        None => Err(Cause::HostMissing),
    }
}

/// The target without scheme and authority (RFC 9112 section 3.2.2), which agree
/// with Host: that was seen to before.
fn origin_form(request: &RequestHeader) -> Result<Cow<'_, str>, Cause> {
    let raw = std::str::from_utf8(request.raw_path()).map_err(|_| Cause::TargetInvalid)?;
    if raw.starts_with('/') || raw == "*" {
        return Ok(Cow::Borrowed(raw));
    }
    let (_, rest) = raw.split_once("://").ok_or(Cause::TargetInvalid)?;
    Ok(match rest.find(['/', '?']).map(|at| &rest[at..]) {
        None => Cow::Borrowed("/"),
        Some(tail) if tail.starts_with('/') => Cow::Borrowed(tail),
        Some(query) => Cow::Owned(format!("/{query}")),
    })
}
