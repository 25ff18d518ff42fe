//! Admission: whether a request can be forwarded, who sent it, and which route takes it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue, Version, header};
use ipnet::IpNet;
use pingora_http::RequestHeader;

use crate::config::{AmbiguousPaths, PathEdit};
use crate::filter::hop_by_hop::asks_for_upgrade;
use crate::filter::loops::{self, CDN_LOOP};
use crate::filter::{Cause, edited};
use crate::message::path_escapes::normal;
use crate::message::readings::{Readings, SentPath, mixes_spellings_of_dots, resolved};
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

/// Decides on a request. The same for a live one and for one that is only asked about.
/// `client`: the other end of its connection.
pub fn decide(request: &RequestHeader, client: Option<IpAddr>, snapshot: &Snapshot) -> Admission {
    let mut admission = identify(request, client, &snapshot.trusted_proxies);
    admission.route = check_fields(&request.headers)
        .and_then(|()| checked_host(request))
        .and_then(|(host, name_length)| {
            admission.upgrade = asks_for_upgrade(request);
            (admission.host, admission.name_length) = (host, name_length);
            with_view(request, &admission, |view| find_route(request, snapshot, view))
        })
        .and_then(|found| {
            let (route, normalized_target) = found?;
            admission.normalized_target = normalized_target;
            Ok(route)
        });
    admission
}

/// A request as routes see it, and the parts of its target.
#[derive(Debug)]
pub struct TargetView<'r> {
    pub route_view: RequestView<'r>,
    target: &'r str,
    /// As it was sent.
    path: &'r str,
    query: Option<&'r str>,
    has_one_reading: bool,
}

impl TargetView<'_> {
    /// Every reading of the path, as sent first; `None` when they are too many.
    pub fn readings(&self) -> Option<Readings> {
        Readings::of(self.route_view.path)
    }

    /// The route that takes the request for a reading of its path.
    pub fn route_for(&self, path: &str, snapshot: &Snapshot) -> Option<RouteIndex> {
        snapshot.table.find(&RequestView { path, ..self.route_view })
    }
}

/// Asks about a request of which [`identify`] and [`checked_host`] have told, in the form
/// that routes match.
pub fn with_view<T>(
    request: &RequestHeader,
    admission: &Admission,
    ask: impl FnOnce(&TargetView<'_>) -> T,
) -> Result<T, Cause> {
    let target = origin_form(request)?;
    let (path, query) = path::split_query(&target);
    let sent = SentPath::of(path).ok_or(Cause::TargetInvalid)?;
    // A checked host is ASCII.
    let name = admission.host.as_bytes().get(..admission.name_length).unwrap_or_default();
    let bare_host = std::str::from_utf8(name).unwrap_or("");
    let route_view = RequestView {
        method: &request.method,
        host: &host::normalize(bare_host),
        path: &sent.text,
        query: query.unwrap_or(""),
        headers: &request.headers,
        client_ip: admission.client_ip,
    };
    Ok(ask(&TargetView { route_view, target: &target, path, query, has_one_reading: sent.has_one_reading }))
}

/// The route, and the target for its upstream where it is not the one that came.
fn find_route(
    request: &RequestHeader,
    snapshot: &Snapshot,
    view: &TargetView<'_>,
) -> Result<(RouteIndex, Option<String>), Cause> {
    let route = snapshot.table.find(&view.route_view);
    let edit = route.and_then(|index| snapshot.routes.get(index)).and_then(|route| route.filters.path_edit());
    let matters = match snapshot.ambiguous_paths {
        AmbiguousPaths::AsSent => edit.is_some(),
        AmbiguousPaths::Reject | AmbiguousPaths::Canonical => snapshot.table.tells_paths_apart() || edit.is_some(),
    };
    if !view.has_one_reading && matters {
        let readings = view.readings().ok_or(Cause::PathAmbiguous)?;
        let differ = mixes_spellings_of_dots(view.path)
            || readings.texts.iter().any(|path| view.route_for(path, snapshot) != route);
        match snapshot.ambiguous_paths {
            AmbiguousPaths::Reject if differ => return Err(Cause::PathAmbiguous),
            AmbiguousPaths::Canonical if differ => {
                let path = resolved(view.route_view.path);
                let route = view.route_for(&path, snapshot).ok_or(Cause::NoRoute)?;
                return Ok((route, Some(with_query(path, view.query))));
            }
            AmbiguousPaths::Reject | AmbiguousPaths::Canonical | AmbiguousPaths::AsSent => {}
        }
        if let Some(edit) = edit {
            check_edit(edit, &readings, view, snapshot, route)?;
        }
    }
    let as_sent = request.raw_path() == view.target.as_bytes();
    let normalized_target = (!as_sent).then(|| view.target.to_owned());
    Ok((route.ok_or(Cause::NoRoute)?, normalized_target))
}

/// Refuses a path where the edited one has a reading that is no edit of a reading: dots could
/// lead out of what the edit made.
fn check_edit(
    edit: &PathEdit,
    readings: &Readings,
    view: &TargetView<'_>,
    snapshot: &Snapshot,
    route: Option<RouteIndex>,
) -> Result<(), Cause> {
    if readings.leaves_root {
        return Err(Cause::PathLeavesRoot);
    }
    let sent = edited(view.route_view.path, edit);
    let made = normal(&sent).and_then(|path| Readings::of(&path)).ok_or(Cause::PathAmbiguous)?;
    // What the edit has brought to the front may be taken for an authority.
    let has_authority = |readings: &Readings| readings.texts.iter().any(|text| text.starts_with("//"));
    if !readings.have_dots() && (has_authority(readings) || !has_authority(&made)) {
        return Ok(());
    }
    let expected: Vec<Cow<'_, str>> = readings.texts.iter().map(|path| edited(path, edit)).collect();
    let is_expected = |path: &String| {
        let leads_back = |prefix: &str| view.route_for(&path::add_prefix(path, prefix), snapshot) == route;
        expected.iter().any(|other| other == path)
            || matches!(edit, PathEdit::StripPrefix(prefix) if leads_back(prefix))
    };
    if made.texts.iter().all(is_expected) { Ok(()) } else { Err(Cause::PathAmbiguous) }
}

fn with_query(path: String, query: Option<&str>) -> String {
    match query {
        Some(query) => path + "?" + query,
        None => path,
    }
}

/// Fields that Connection may not take away, expectations we cannot meet, and requests that
/// come back.
fn check_fields(headers: &HeaderMap) -> Result<(), Cause> {
    // One look at all fields is cheaper than a look-up of what is seldom there.
    let (mut nominates, mut expects, mut passes) = (false, false, 0);
    for (name, value) in headers {
        nominates |= name == header::CONNECTION;
        expects |= name == header::EXPECT;
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
    Ok(())
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
fn identify(request: &RequestHeader, remote: Option<IpAddr>, trusted: &[IpNet]) -> Admission {
    let mut admission = Admission { client_ip: remote, ..Admission::undecided() };
    let Some(remote) = remote.filter(|remote| !trusted.is_empty() && client::is_in(*remote, trusted)) else {
        return admission;
    };
    admission.remote_trusted = true;
    let fields = request.headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    admission.client_ip = Some(client::from_forwarded_for(remote, fields, trusted));
    let field = |name: &str| request.headers.get(name).map(HeaderValue::as_bytes);
    if let Some(scheme) = forwarded::believed_scheme(field("x-forwarded-proto"), field("forwarded")) {
        admission.scheme = scheme;
    }
    admission
}

/// RFC 9112 section 3.2: the host as sent, and the length of its name. That there is no
/// second one was seen to before.
fn checked_host(request: &RequestHeader) -> Result<(HeaderValue, usize), Cause> {
    match request.headers.get(header::HOST) {
        Some(value) => Ok((value.clone(), name_length(std::str::from_utf8(value.as_bytes()).unwrap_or(""))?)),
        None if request.version == Version::HTTP_10 => authority(request),
        None => Err(Cause::HostMissing),
    }
}

fn name_length(host: &str) -> Result<usize, Cause> {
    host::split(host).map(|(name, _)| name.len()).ok_or(Cause::HostInvalid)
}

/// RFC 9112 section 3.2.2: the host of a target in absolute form; empty for another.
fn authority(request: &RequestHeader) -> Result<(HeaderValue, usize), Cause> {
    let raw = std::str::from_utf8(request.raw_path()).map_err(|_| Cause::TargetInvalid)?;
    let Some((_, rest)) = raw.split_once("://").filter(|_| !raw.starts_with('/')) else {
        return Ok((HeaderValue::from_static(""), 0));
    };
    let authority = rest.find(['/', '?']).map_or(rest, |end| &rest[..end]);
    let length = name_length(authority)?;
    Ok((HeaderValue::from_str(authority).map_err(|_| Cause::HostInvalid)?, length))
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
