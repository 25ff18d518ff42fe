//! The head of a request of HTTP/2 in the form in which the hooks get it, which is that of
//! HTTP/1.1: the crate `h2` has checked what frames it, and what could be read in two ways
//! behind us is refused here.

use std::borrow::Cow;

use data_encoding::BASE64;
use h2::ext::Protocol;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Version, request};
use pingora_http::RequestHeader;

use crate::config::Limits;
use crate::downstream::framing_fields::{Framing, FramingFields};
use crate::downstream::malformed::Malformed;
use crate::downstream::target;
use crate::message::bytes::TOKEN;

/// What a line of HTTP/1.1 has beside method and target: two blanks and the version.
const REST_OF_LINE: usize = 10;
/// What a line of a field has beside name and value.
const REST_OF_FIELD: usize = 4;

/// A head that can be handed on.
#[derive(Debug)]
pub(super) struct Head {
    pub request: Box<RequestHeader>,
    /// Whether the client asks for another protocol (RFC 8441).
    pub asks_for_upgrade: bool,
}

impl Head {
    /// `is_whole`: the request has no body.
    ///
    /// # Errors
    /// When it is no request that we take; with what there is of it.
    pub fn of(request: Request<()>, is_whole: bool, limits: &Limits) -> Result<Self, (Malformed, Vec<u8>)> {
        let (mut parts, ()) = request.into_parts();
        match settle(&mut parts, is_whole, limits) {
            Ok(asks_for_upgrade) => Ok(Self { request: Box::new(RequestHeader::from(parts)), asks_for_upgrade }),
            Err(malformed) => Err((malformed, as_text(&parts))),
        }
    }
}

/// Makes a request one of HTTP/1.1; whether it asks for another protocol.
fn settle(parts: &mut request::Parts, is_whole: bool, limits: &Limits) -> Result<bool, Malformed> {
    let protocol = parts.extensions.remove::<Protocol>();
    if parts.method == Method::CONNECT && parts.uri.authority().is_none() {
        return Err(Malformed::Syntax);
    }
    if parts.method == Method::TRACE || parts.method == Method::CONNECT && protocol.is_none() {
        return Err(Malformed::Method);
    }
    join_cookies(&mut parts.headers)?;
    check_bounds(parts, limits)?;
    check_values(&parts.headers)?;
    settle_host(parts)?;
    parts.uri = path_of(parts)?;
    let framing = framing(&parts.headers)?;
    match &protocol {
        Some(protocol) => become_upgrade(parts, protocol)?,
        // What comes is of unknown length, as chunks are.
        None if !is_whole && framing.is_none() => {
            parts.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        None => {}
    }
    Ok(protocol.is_some())
}

/// A head as HTTP/1.1 would write it, for the log.
fn as_text(parts: &request::Parts) -> Vec<u8> {
    let target = parts.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut text = format!("{} {target} HTTP/2.0\r\n", parts.method).into_bytes();
    if let Some(authority) = parts.uri.authority() {
        text.extend_from_slice(format!("host: {authority}\r\n").as_bytes());
    }
    for (name, value) in &parts.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
    text
}

/// Clients send one field for each cookie; HTTP/1.1 has room for one field (RFC 9113 section
/// 8.2.3).
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Malformed> {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return Ok(());
    }
    let fields = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let fields: Vec<&[u8]> = fields.filter(|field| !field.is_empty()).collect();
    let joined = HeaderValue::from_bytes(&fields.join(&b"; "[..])).map_err(|_| Malformed::Syntax)?;
    headers.insert(header::COOKIE, joined);
    Ok(())
}

/// The same bounds as in HTTP/1.1, for the head as that would write it.
fn check_bounds(parts: &request::Parts, limits: &Limits) -> Result<(), Malformed> {
    let target = parts.uri.path_and_query().map_or(1, |path| path.as_str().len());
    let line = parts.method.as_str().len() + target + REST_OF_LINE;
    if line > limits.request_line {
        return Err(Malformed::LineTooLong);
    }
    let fields: usize =
        parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + REST_OF_FIELD).sum();
    if line + fields > limits.request_headers {
        return Err(Malformed::HeadTooLarge);
    }
    if parts.headers.len() > limits.request_header_count {
        return Err(Malformed::TooManyFields);
    }
    Ok(())
}

/// RFC 9113 section 8.2.1: a value neither begins nor ends with a blank.
fn check_values(headers: &HeaderMap) -> Result<(), Malformed> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let is_padded = |value: &HeaderValue| is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last());
    if headers.values().any(is_padded) { Err(Malformed::Syntax) } else { Ok(()) }
}

/// `:authority` becomes Host, if it does not contradict it (RFC 9113 section 8.3.1).
fn settle_host(parts: &mut request::Parts) -> Result<(), Malformed> {
    let scheme = parts.uri.scheme_str().unwrap_or("http");
    if !matches!(scheme, "http" | "https") {
        return Err(Malformed::Target);
    }
    let Some(authority) = parts.uri.authority() else { return Ok(()) };
    let authority = authority.as_str();
    match parts.headers.get(header::HOST) {
        Some(host) if host.as_bytes() == authority.as_bytes() => return Ok(()),
        Some(host) if !target::is_same_host(host.as_bytes(), authority, scheme) => return Err(Malformed::HostConflict),
        Some(_) | None => {}
    }
    if parts.headers.get_all(header::HOST).iter().nth(1).is_some() {
        return Err(Malformed::Host);
    }
    let host = HeaderValue::from_str(authority).map_err(|_| Malformed::Host)?;
    parts.headers.insert(header::HOST, host);
    Ok(())
}

fn path_of(parts: &request::Parts) -> Result<Uri, Malformed> {
    let path = parts.uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let method = if parts.method == Method::CONNECT { "GET" } else { parts.method.as_str() };
    let path = match target::carried(method, path.as_str(), None)? {
        Cow::Borrowed(_) => path,
        Cow::Owned(escaped) => PathAndQuery::try_from(escaped).map_err(|_| Malformed::Target)?,
    };
    Ok(Uri::from(path))
}

/// `None` when nothing says how long the body is.
fn framing(headers: &HeaderMap) -> Result<Option<Framing>, Malformed> {
    let mut fields = FramingFields::default();
    for (name, value) in headers {
        // `h2` has refused the fields that frame a message of HTTP/1.1.
        fields.take(name.as_str(), value.as_bytes())?;
    }
    let framing = fields.framing(1)?;
    Ok(headers.contains_key(header::CONTENT_LENGTH).then_some(framing))
}

/// An extended CONNECT becomes the request for an upgrade that it stands for (RFC 8441
/// section 5).
fn become_upgrade(parts: &mut request::Parts, protocol: &Protocol) -> Result<(), Malformed> {
    let name = protocol.as_str().to_ascii_lowercase();
    // What follows a switch to HTTP itself could not be seen.
    if ["h2", "h3", "http", "connect-"].iter().any(|other| name.starts_with(other)) {
        return Err(Malformed::Method);
    }
    let is_token = !name.is_empty() && name.bytes().all(|byte| TOKEN[usize::from(byte)]);
    if !is_token || parts.headers.contains_key(header::CONTENT_LENGTH) {
        return Err(Malformed::Syntax);
    }
    (parts.method, parts.version) = (Method::GET, Version::HTTP_11);
    let protocol_value = HeaderValue::from_str(protocol.as_str()).map_err(|_| Malformed::Syntax)?;
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    parts.headers.insert(header::UPGRADE, protocol_value);
    if protocol.as_str() == "websocket" {
        // HTTP/2 has none; a server of HTTP/1.1 wants one (RFC 6455 section 4.1).
        let key = BASE64.encode(&fastrand::u128(..).to_ne_bytes());
        let name = HeaderName::from_static("sec-websocket-key");
        parts.headers.insert(name, HeaderValue::from_str(&key).map_err(|_| Malformed::Syntax)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::spelling;

    const LIMITS: Limits = Limits::NARROW;

    fn read(method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<Head, Malformed> {
        let mut request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Head::of(request.body(()).unwrap(), false, &LIMITS).map_err(|(malformed, _)| malformed)
    }

    fn written(head: &Head) -> String {
        let mut out = Vec::new();
        spelling::request_fields(&head.request).for_each(|(name, value)| name.push_line(value, &mut out));
        String::from_utf8(out).unwrap().to_ascii_lowercase()
    }

    #[test]
    fn a_request_becomes_one_of_http_1() {
        let fields = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("content-length", "3")];
        let head = read("POST", "https://a.test/p?q=1", &fields).unwrap();
        assert_eq!((head.request.raw_path(), head.asks_for_upgrade), (&b"/p?q=1"[..], false));
        let text = written(&head);
        for line in ["host: a.test\r\n", "cookie: a=1; b=2\r\n", "content-length: 3\r\n", "x: y\r\n"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("transfer-encoding"));
        let unknown_length = read("POST", "http://a.test/", &[]).unwrap();
        assert!(written(&unknown_length).contains("transfer-encoding: chunked\r\n"));
        let whole = Head::of(Request::get("http://a.test/").body(()).unwrap(), true, &LIMITS).unwrap();
        assert_eq!(written(&whole), "host: a.test\r\n");
    }

    #[test]
    fn an_extended_connect_asks_for_one_protocol_and_has_no_length() {
        let connect = |protocol: &'static str, fields: &[(&str, &str)]| {
            let mut request = Request::builder().method("CONNECT").uri("http://a.test/chat").version(Version::HTTP_2);
            for (name, value) in fields {
                request = request.header(*name, *value);
            }
            let request = request.extension(Protocol::from_static(protocol)).body(()).unwrap();
            Head::of(request, false, &LIMITS).map(|head| head.asks_for_upgrade).map_err(|(malformed, _)| malformed)
        };
        assert_eq!((connect("websocket", &[]), connect("x.y", &[])), (Ok(true), Ok(true)));
        for protocol in ["", " websocket", "a b", "x, y"] {
            assert_eq!(connect(protocol, &[]), Err(Malformed::Syntax), "{protocol:?}");
        }
        for protocol in ["h2c", "HTTP/2.0", "http/1.1", "connect-udp"] {
            assert_eq!(connect(protocol, &[]), Err(Malformed::Method), "{protocol:?}");
        }
        assert_eq!(connect("websocket", &[("content-length", "5")]), Err(Malformed::Syntax));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let long = "x".repeat(60);
        let large = "y".repeat(250);
        for (uri, fields, malformed) in [
            ("http://a.test/", &[("host", "b.test")][..], Malformed::HostConflict),
            ("http://a.test/", &[("host", "a.test"), ("host", "a.test")], Malformed::Host),
            ("http://a.test/", &[("host", "A.test"), ("host", "a.test")], Malformed::Host),
            ("http://u@a.test/", &[], Malformed::Host),
            ("ftp://a.test/", &[], Malformed::Target),
            ("http://a.test/", &[("content-length", "1"), ("content-length", "1")], Malformed::Framing),
            ("http://a.test/", &[("content-length", "+1")], Malformed::Framing),
            ("http://a.test/", &[("x", " y")], Malformed::Syntax),
            (&format!("http://a.test/{long}"), &[], Malformed::LineTooLong),
            ("http://a.test/", &[("x", &large)], Malformed::HeadTooLarge),
            ("http://a.test/", &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")], Malformed::TooManyFields),
        ] {
            assert_eq!(read("POST", uri, fields).unwrap_err(), malformed, "{uri} {fields:?}");
        }
        let cookies = read("GET", "http://a.test/", &[("cookie", "a=1"), ("cookie", "")]).unwrap();
        assert!(written(&cookies).contains("cookie: a=1\r\n"));
        assert_eq!(read("TRACE", "http://a.test/", &[]).unwrap_err(), Malformed::Method);
        assert_eq!(read("GET", "http://a.test:80/", &[("host", "A.test")]).map(|_| ()), Ok(()));
    }
}
