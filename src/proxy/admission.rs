//! Admission: whether a request can be forwarded, who sent it, and which route takes it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Version, header};
use ipnet::IpNet;
use pingora_http::RequestHeader;

use super::routing::{TargetView, find_route};
use crate::config::Underscores;
use crate::downstream::ClientConnection;
use crate::filter::Cause;
use crate::filter::hop_by_hop::{asks_for_upgrade, has_underscore};
use crate::filter::loops::{self, CDN_LOOP};
use crate::listener::ListenerIndex;
use crate::message::readings::SentPath;
use crate::message::{client, forwarded, hop, host, path};
use crate::route::{RequestView, RouteIndex};
use crate::runtime::Snapshot;

/// What is decided of a request before anything is done with it; the context holds it.
#[derive(Debug)]
pub struct Admission {
    /// Who the request is from, after trusted proxies have been believed.
    pub client_ip: Option<IpAddr>,
    pub remote_trusted: bool,
    /// How the client came, as far as is believed: `http` or `https`.
    pub scheme: &'static str,
    /// As sent; empty for an HTTP/1.0 request without one.
    pub host: HeaderValue,
    /// How much of `host` is the name, without a port.
    name_length: usize,
    /// Whether the client asks for another protocol, such as WebSocket.
    pub upgrade: bool,
    /// Origin form, where what goes upstream is not what came.
    pub normalized_target: Option<String>,
    /// The route that takes it, or why it is refused.
    pub route: Result<RouteIndex, Cause>,
}

impl Admission {
    /// The admission of a request that was not looked at yet.
    pub fn undecided() -> Self {
        Self {
            client_ip: None,
            remote_trusted: false,
            scheme: "http",
            host: HeaderValue::from_static(""),
            name_length: 0,
            upgrade: false,
            normalized_target: None,
            route: Err(Cause::NoRoute),
        }
    }
}

impl Admission {
    /// The host without its port, as sent.
    pub fn host_name(&self) -> &str {
        // A checked host is ASCII.
        let name = self.host.as_bytes().get(..self.name_length).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or("")
    }
}

/// Decides on a request. The same for a live one and for one that is only asked about.
/// `connection`: on which it came.
pub fn decide(request: &RequestHeader, connection: &ClientConnection, snapshot: &Snapshot) -> Admission {
    let mut admission = identify(request, connection, &snapshot.trusted_proxies);
    admission.route = route(request, connection, snapshot, &mut admission);
    admission
}

/// Notes in the admission what it finds out on the way to the route.
fn route(
    request: &RequestHeader,
    connection: &ClientConnection,
    snapshot: &Snapshot,
    admission: &mut Admission,
) -> Result<RouteIndex, Cause> {
    let has_upgrade = check_fields(&request.headers, snapshot.underscores)?;
    let (host, name) = checked_host(request)?;
    (admission.host, admission.name_length) = (host, name.len());
    admission.upgrade = has_upgrade && asks_for_upgrade(request);
    check_client_auth(connection, name, snapshot)?;
    let (route, normalized_target) =
        with_view(request, connection, name, admission.client_ip, |view| find_route(request, snapshot, view))??;
    admission.normalized_target = normalized_target;
    Ok(route)
}

/// Asks about a request in the form that routes match. `host`, without a port, and `client_ip` are what its admission
/// found.
pub fn with_view<T>(
    request: &RequestHeader,
    connection: &ClientConnection,
    host: &str,
    client_ip: Option<IpAddr>,
    ask: impl FnOnce(&TargetView<'_>) -> T,
) -> Result<T, Cause> {
    let target = origin_form(request)?;
    let (path, query) = path::split_query(&target);
    let sent = SentPath::of(path).ok_or(Cause::TargetInvalid)?;
    let route_view = RequestView {
        method: &request.method,
        host: &host::normalize(host),
        path: &sent.text,
        query: query.unwrap_or(""),
        headers: &request.headers,
        client_ip,
        client_cert: connection.tls.as_ref().and_then(|tls| tls.client_cert.as_ref()).map(|cert| &cert.identity),
    };
    Ok(ask(&TargetView { route_view, target: &target, path, query, has_one_reading: sent.has_one_reading }))
}

/// The client was let in under the rule of the name that it asked for in the handshake: a
/// certificate that one host takes opens no other (RFC 9110 section 15.5.20).
fn check_client_auth(connection: &ClientConnection, host: &str, snapshot: &Snapshot) -> Result<(), Cause> {
    let Some(tls) = &connection.tls else { return Ok(()) };
    let entrance = snapshot.entrances.get(ListenerIndex(connection.listener));
    let is_met = entrance.is_none_or(|entrance| entrance.client_auth_of(host) == tls.client_auth);
    if is_met { Ok(()) } else { Err(Cause::Misdirected) }
}

/// Fields that Connection may not take away, expectations we cannot meet, and requests that
/// come back. Returns whether there is an `Upgrade`.
fn check_fields(headers: &HeaderMap, underscores: Underscores) -> Result<bool, Cause> {
    if underscores == Underscores::Reject && headers.keys().any(has_underscore) {
        return Err(Cause::UnderscoreInName);
    }
    // One look at all fields is cheaper than a look-up of what is seldom there.
    let (mut nominates, mut expects, mut upgrades, mut passes) = (false, false, false, 0);
    for (name, value) in headers {
        nominates |= name == header::CONNECTION;
        expects |= name == header::EXPECT;
        upgrades |= name == header::UPGRADE;
        if name == CDN_LOOP {
            passes += loops::passes(value);
        }
    }
    if passes >= loops::MOST_PASSES {
        return Err(Cause::LoopDetected);
    }
    if nominates && hop::nominated(headers).any(is_protected) {
        return Err(Cause::ConnectionNames);
    }
    if expects && !expectations(headers).all(|one| one.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Cause::ExpectationFailed);
    }
    Ok(upgrades)
}

/// Whether a field belongs to the whole chain of a request: it frames it, says whom it is for
/// and whom from, or keeps it from going in circles. The next hop must not lose it because a
/// client called it hop-by-hop.
fn is_protected(name: &[u8]) -> bool {
    const PROTECTED: [&[u8]; 10] = [
        b"content-length",
        b"transfer-encoding",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"forwarded",
        b"host",
        b"x-real-ip",
        b"via",
        b"cdn-loop",
    ];
    let prefix = name.get(..b"x-forwarded-".len());
    PROTECTED.iter().any(|protected| name.eq_ignore_ascii_case(protected))
        || prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"x-forwarded-"))
}

/// RFC 9110 section 5.6.1.2: a list may have empty elements.
fn expectations(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(header::EXPECT).iter().map(HeaderValue::as_bytes);
    fields.flat_map(|field| field.split(|b| *b == b',')).map(<[u8]>::trim_ascii).filter(|one| !one.is_empty())
}

/// Whom the request is from; nothing else of it is decided yet.
fn identify(request: &RequestHeader, connection: &ClientConnection, trusted: &[IpNet]) -> Admission {
    let (remote, scheme) = (connection.ip, connection.scheme());
    let mut admission = Admission { client_ip: remote, scheme, ..Admission::undecided() };
    let Some(remote) = remote.filter(|remote| !trusted.is_empty() && client::is_in(*remote, trusted)) else {
        return admission;
    };
    admission.remote_trusted = true;
    let fields = |name: &'static str| request.headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let nodes = fields("forwarded").flat_map(forwarded::nodes);
    admission.client_ip = client::of_trusted(remote, fields("x-forwarded-for"), nodes, trusted);
    let field = |name: &str| request.headers.get(name).map(HeaderValue::as_bytes);
    if let Some(scheme) = forwarded::believed_scheme(field("x-forwarded-proto"), field("forwarded")) {
        admission.scheme = scheme;
    }
    admission
}

/// RFC 9112 section 3.2: the host as sent, and its name without a port. That there is no
/// second one was seen to before.
fn checked_host(request: &RequestHeader) -> Result<(HeaderValue, &str), Cause> {
    match request.headers.get(header::HOST) {
        Some(value) => Ok((value.clone(), name_of(std::str::from_utf8(value.as_bytes()).unwrap_or(""))?)),
        None if request.version == Version::HTTP_10 => authority(request),
        None => Err(Cause::HostMissing),
    }
}

fn name_of(host: &str) -> Result<&str, Cause> {
    host::split(host).map(|(name, _)| name).ok_or(Cause::HostInvalid)
}

/// RFC 9112 section 3.2.2: the host of a target in absolute form; empty for another.
fn authority(request: &RequestHeader) -> Result<(HeaderValue, &str), Cause> {
    let raw = std::str::from_utf8(request.raw_path()).map_err(|_| Cause::TargetInvalid)?;
    let Some((_, rest)) = raw.split_once("://").filter(|_| !raw.starts_with('/')) else {
        return Ok((HeaderValue::from_static(""), ""));
    };
    let authority = rest.find(['/', '?']).map_or(rest, |end| &rest[..end]);
    let name = name_of(authority)?;
    Ok((HeaderValue::from_str(authority).map_err(|_| Cause::HostInvalid)?, name))
}

/// The target without scheme and authority (RFC 9112 section 3.2.2), which agree
/// with Host: that was seen to before.
pub fn origin_form(request: &RequestHeader) -> Result<Cow<'_, str>, Cause> {
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
