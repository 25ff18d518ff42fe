//! The request as the upstream gets it: what ends at this hop, forwarding fields,
//! and the edits of the route. Order and case of the other fields stay.

use bytes::Bytes;
use http::Version;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_http::RequestHeader;

use super::order::{self, Unwanted};

use crate::config::{CookieEdits, HeaderEdits, HostPolicy, PathEdit, QueryEdits, RequestEdits};
use crate::downstream::Peer;
use crate::message::hop::{self, Connection};
use crate::message::{cookie, forwarded, path, query};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who stands at the other end of the client's connection, and what of its
/// forwarding fields is believed.
#[derive(Clone, Copy, Debug)]
pub struct Hop<'h> {
    pub peer: &'h Peer,
    pub trusted: bool,
    /// As the client sent it.
    pub host: &'h HeaderValue,
    pub scheme: &'static str,
}

/// Takes away what ends at this hop, and what a stranger says of the client. Names
/// with underscores never pass: CGI and WSGI fold them onto the same variables.
///
/// `upgrade`: what [`asks_for_upgrade`] said of it.
pub fn strip(request: &mut RequestHeader, trusted: bool, upgrade: bool) -> pingora::Result<()> {
    let connection = Connection::of(&request.headers);
    retain(request, |name, headers| match name.as_str() {
        "connection" | "upgrade" => upgrade,
        text if memchr::memchr(b'_', text.as_bytes()).is_some() => false,
        text => (trusted || !tells_of_the_client(text)) && !connection.ends(name, headers),
    })?;
    // What else Connection named went with the fields.
    if upgrade { request.insert_header("Connection", HeaderValue::from_static("Upgrade")) } else { Ok(()) }
}

/// Whether the client asks for another protocol that may be forwarded. HTTP/2 is not
/// one: what follows such a switch could not be seen.
pub fn asks_for_upgrade(request: &RequestHeader) -> bool {
    let Some(upgrade) = request.headers.get(header::UPGRADE) else {
        return false;
    };
    let mut protocols = upgrade.as_bytes().split(|b| *b == b',').map(|p| p.trim_ascii().to_ascii_lowercase());
    let http = protocols.any(|p| p.starts_with(b"h2") || p.starts_with(b"http/"));
    !http && request.version == Version::HTTP_11 && hop::connection_has(&request.headers, b"upgrade")
}

/// `X-Forwarded-*` and `Forwarded`: continued from a trusted peer, set for anyone
/// else, of whom [`strip`] left nothing.
pub fn set_forwarded(request: &mut RequestHeader, hop: &Hop<'_>) -> pingora::Result<()> {
    // A checked host is ASCII.
    let host = hop.host.to_str().unwrap_or("");
    let (peer, scheme) = (hop.peer, hop.scheme);
    if !hop.trusted {
        let element = forwarded::forwarded([].into_iter(), &peer.forwarded, host, scheme);
        request.append_header("X-Forwarded-For", peer.forwarded_for.clone())?;
        request.append_header("X-Forwarded-Proto", HeaderValue::from_static(scheme))?;
        if !host.is_empty() {
            request.append_header("X-Forwarded-Host", hop.host.clone())?;
        }
        return request.append_header("Forwarded", value(element)?).map(|_| ());
    }
    let chain = collect(request, &X_FORWARDED_FOR);
    let chain = forwarded::forwarded_for(chain.iter().map(HeaderValue::as_bytes), peer.forwarded_for.as_bytes());
    request.insert_header("X-Forwarded-For", value(chain)?)?;
    if !request.headers.contains_key(&X_FORWARDED_PROTO) {
        request.insert_header("X-Forwarded-Proto", HeaderValue::from_static(scheme))?;
    }
    if !request.headers.contains_key(&X_FORWARDED_HOST) && !host.is_empty() {
        request.insert_header("X-Forwarded-Host", hop.host.clone())?;
    }
    let elements = collect(request, &header::FORWARDED);
    let elements = forwarded::forwarded(elements.iter().map(HeaderValue::as_bytes), &peer.forwarded, host, scheme);
    request.insert_header("Forwarded", value(elements)?)
}

fn collect(request: &RequestHeader, name: &HeaderName) -> Vec<HeaderValue> {
    request.headers.get_all(name).iter().cloned().collect()
}

/// The same request line, to be given its fields anew in the order they shall have.
fn without_fields(request: &RequestHeader) -> pingora::Result<RequestHeader> {
    let mut bare = RequestHeader::build(request.method.clone(), b"/", Some(request.headers.len() + 4))?;
    bare.set_version(request.version);
    bare.set_raw_path(request.raw_path())?;
    Ok(bare)
}

fn tells_of_the_client(name: &str) -> bool {
    matches!(name, "forwarded" | "x-real-ip") || name.starts_with("x-forwarded-")
}

/// Drops fields and leaves the others in their order. A header map's own removal
/// moves its last field into the gap, which is right for the last ones only.
fn retain(request: &mut RequestHeader, keep: impl Fn(&HeaderName, &HeaderMap) -> bool) -> pingora::Result<()> {
    match order::unwanted(&request.headers, &keep) {
        Unwanted::None => return Ok(()),
        Unwanted::Last(names) => names.iter().rev().for_each(|name| drop(request.remove_header(name))),
        Unwanted::Between => {
            let mut kept = without_fields(request)?;
            for (name, value) in request.case_header_iter() {
                if HeaderName::from_bytes(name.as_slice()).is_ok_and(|n| keep(&n, &request.headers)) {
                    kept.append_header(name.clone(), value.clone())?;
                }
            }
            *request = kept;
        }
    }
    Ok(())
}

/// Made of addresses and a checked host; what a trusted peer sent was a field value before.
fn value(bytes: Vec<u8>) -> pingora::Result<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(bytes))
        .map_err(|e| pingora::Error::because(pingora::ErrorType::InvalidHTTPHeader, "forwarding field", e))
}

/// The target in origin form after the edits of path and query; `None` when it
/// goes up as `target` is.
pub fn edited_target(target: &str, edits: &RequestEdits) -> Option<String> {
    if edits.path.is_none() && !has_query_edits(&edits.query) {
        return None;
    }
    let (path_part, query_part) = path::split_query(target);
    let mut out = match &edits.path {
        Some(edit) => edited_path(path_part, edit),
        None => path_part.to_owned(),
    };
    let query_part = if has_query_edits(&edits.query) {
        query::edit(query_part, &edits.query.remove, &edits.query.set, &edits.query.add)
    } else {
        query_part.map(str::to_owned)
    };
    if let Some(query_part) = query_part {
        out.push('?');
        out.push_str(&query_part);
    }
    Some(out)
}

fn has_query_edits(edits: &QueryEdits) -> bool {
    !(edits.remove.is_empty() && edits.set.is_empty() && edits.add.is_empty())
}

fn edited_path(path_part: &str, edit: &PathEdit) -> String {
    match edit {
        PathEdit::StripPrefix(prefix) => path::strip_prefix(path_part, prefix).to_owned(),
        PathEdit::AddPrefix(prefix) => path::add_prefix(path_part, prefix),
        PathEdit::Replace(whole) => whole.clone(),
        PathEdit::Regex { pattern, with } => {
            let out = pattern.replace(path_part, with.as_str()).into_owned();
            // An origin-form target starts with a slash (RFC 9112 section 3.2.1).
            if out.starts_with('/') { out } else { format!("/{out}") }
        }
    }
}

/// Host policy, then the route's header and cookie edits.
pub fn edit_headers(
    request: &mut RequestHeader,
    edits: &RequestEdits,
    upstream_authority: Option<&str>,
) -> pingora::Result<()> {
    match (&edits.host, upstream_authority) {
        // An HTTP/1.0 client need not send one, HTTP/1.1 upstream must have it.
        (HostPolicy::Preserve, Some(authority)) if !request.headers.contains_key(header::HOST) => {
            request.insert_header(header::HOST, authority)?;
        }
        (HostPolicy::Preserve, _) | (HostPolicy::Upstream, None) => {}
        (HostPolicy::Upstream, Some(authority)) => request.insert_header(header::HOST, authority)?,
        (HostPolicy::Literal(host), _) => request.insert_header(header::HOST, host.as_str())?,
    }
    apply_header_edits(request, &edits.headers)?;
    edit_cookies(request, &edits.cookies)
}

fn apply_header_edits(request: &mut RequestHeader, edits: &HeaderEdits) -> pingora::Result<()> {
    if !edits.remove.is_empty() {
        retain(request, |name, _| !edits.remove.contains(name))?;
    }
    for (name, value) in &edits.set {
        request.insert_header(name.spelled.clone(), value.clone())?;
    }
    for (name, value) in &edits.add {
        request.append_header(name.spelled.clone(), value.clone())?;
    }
    Ok(())
}

fn edit_cookies(request: &mut RequestHeader, edits: &CookieEdits) -> pingora::Result<()> {
    if edits.remove.is_empty() && edits.set.is_empty() {
        return Ok(());
    }
    let named = |name: &[u8]| {
        edits.remove.iter().any(|r| r.as_bytes() == name) || edits.set.iter().any(|(n, _)| n.as_bytes() == name)
    };
    let mut fields: Vec<Vec<u8>> = request
        .headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|field| cookie::without(field.as_bytes(), named))
        .collect();
    for (name, value) in &edits.set {
        let pair = format!("{name}={value}").into_bytes();
        match fields.last_mut() {
            Some(field) => {
                field.extend_from_slice(b"; ");
                field.extend_from_slice(&pair);
            }
            None => fields.push(pair),
        }
    }
    let mut fields = fields.into_iter().map(pingora_http::header_value_from_raw);
    match fields.next() {
        // Keeps the place of the first and drops the others.
        Some(first) => request.insert_header("Cookie", first)?,
        None => return retain(request, |name, _| name != header::COOKIE),
    }
    fields.try_for_each(|field| request.append_header("Cookie", field).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn request(fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).unwrap();
        for (name, value) in fields {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn lines(request: &RequestHeader) -> Vec<String> {
        request
            .case_header_iter()
            .map(|(n, v)| format!("{}: {}", String::from_utf8_lossy(n.as_slice()), v.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn order_and_case_survive_removed_fields() {
        for (connection, last) in [("x-gone", ("Z", "4")), ("x-gone", ("TE", "trailers"))] {
            let mut up = request(&[
                ("HOST", "a"),
                ("Connection", connection),
                ("X-One", "1"),
                ("x-two", "2"),
                ("X-One", "3"),
                ("X-Gone", "1"),
                ("x_y", "1"),
                last,
            ]);
            strip(&mut up, false, false).unwrap();
            let mut expected = vec!["HOST: a", "X-One: 1", "X-One: 3", "x-two: 2"];
            expected.extend((last.0 == "Z").then_some("Z: 4"));
            assert_eq!(lines(&up), expected);
        }
        let mut up = request(&[("A", "1"), ("b", "2"), ("Connection", "keep-alive"), ("Keep-Alive", "5")]);
        strip(&mut up, false, false).unwrap();
        assert_eq!(lines(&up), ["A: 1", "b: 2"]);
    }

    #[test]
    fn upgrades_pass_unless_to_http_2() {
        let ask = |connection, to| {
            let mut up = request(&[("connection", connection), ("Upgrade", to), ("X", "1")]);
            let upgrade = asks_for_upgrade(&up);
            strip(&mut up, false, upgrade).unwrap();
            lines(&up)
        };
        assert_eq!(ask("keep-alive, Upgrade", "websocket"), ["Connection: Upgrade", "Upgrade: websocket", "X: 1"]);
        assert_eq!(ask("upgrade, x", "tcp"), ["Connection: Upgrade", "Upgrade: tcp"]);
        assert_eq!(ask("Upgrade, HTTP2-Settings", "h2c"), ["X: 1"]);
        assert_eq!(ask("Upgrade", "websocket, HTTP/2.0"), ["X: 1"]);
        assert_eq!(ask("keep-alive", "websocket"), ["X: 1"]);
    }

    #[test]
    fn an_untrusted_peer_is_not_believed() {
        let fields = [
            ("X-Forwarded-For", "6.6.6.6"),
            ("X-Forwarded-Proto", "https"),
            ("X-Real-IP", "6.6.6.6"),
            ("X-Forwarded-Prefix", "/p"),
            ("X_Forwarded_For", "6.6.6.6"),
        ];
        let peer = Peer::new("1.2.3.4".parse().ok(), Arc::default());
        let hop = Hop { peer: &peer, trusted: false, host: &HeaderValue::from_static("h"), scheme: "http" };
        let mut up = request(&fields);
        strip(&mut up, false, false).unwrap();
        set_forwarded(&mut up, &hop).unwrap();
        assert_eq!(up.headers["x-forwarded-for"], "1.2.3.4");
        assert_eq!(up.headers["x-forwarded-proto"], "http");
        for gone in ["x-real-ip", "x-forwarded-prefix", "x_forwarded_for"] {
            assert!(!up.headers.contains_key(gone), "{gone}");
        }
        let mut up = request(&fields);
        strip(&mut up, true, false).unwrap();
        set_forwarded(&mut up, &Hop { trusted: true, ..hop }).unwrap();
        assert_eq!(up.headers["x-forwarded-for"], "6.6.6.6, 1.2.3.4");
        assert_eq!(up.headers["x-forwarded-proto"], "https");
        assert_eq!(up.headers["forwarded"], "for=1.2.3.4;host=h;proto=http");
    }

    #[test]
    fn targets_are_edited_without_touching_other_bytes() {
        let edits = RequestEdits { path: Some(PathEdit::StripPrefix("/api".into())), ..RequestEdits::default() };
        assert_eq!(edited_target("/api/a%2Fb?x=%7e&&", &edits).as_deref(), Some("/a%2Fb?x=%7e&&"));
        assert_eq!(edited_target("/api?", &edits).as_deref(), Some("/?"));
        assert_eq!(edited_target("/x", &RequestEdits::default()), None);
    }

    #[test]
    fn cookies_are_set_once() {
        let mut up = request(&[("Cookie", "a=1; k=old"), ("Cookie", "b=2")]);
        let edits = CookieEdits { remove: vec!["a".into()], set: vec![("k".into(), "new".into())] };
        edit_cookies(&mut up, &edits).unwrap();
        assert_eq!(lines(&up), ["Cookie: b=2; k=new"]);
    }
}
