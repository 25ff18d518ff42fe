//! The head of a request as HTTP/2 has it (RFC 9113 section 8.3.1).

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request};
use pingora::{ErrorType, Result};
use pingora_http::RequestHeader;

use super::fault::Http2Fault;

/// The key that a WebSocket client wants an answer to (RFC 6455 section 4.1). HTTP/2 knows none.
const WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

/// The request; with a protocol to switch to, an extended CONNECT (RFC 8441 section 4).
///
/// # Errors
/// When the target or the Host cannot be sent.
pub(super) fn to_http2(
    head: &RequestHeader,
    is_secure: bool,
    tunnel: Option<h2::ext::Protocol>,
) -> Result<Request<()>> {
    let mut request = Request::new(());
    *request.uri_mut() = uri(head, is_secure)?;
    *request.method_mut() = if tunnel.is_some() { Method::CONNECT } else { head.method.clone() };
    copy_fields(&head.headers, request.headers_mut(), tunnel.is_some());
    if let Some(protocol) = tunnel {
        request.extensions_mut().insert(protocol);
    }
    Ok(request)
}

/// The protocol that the client asks for.
pub(super) fn asked_protocol(head: &RequestHeader) -> Option<h2::ext::Protocol> {
    let upgrade = head.headers.get(header::UPGRADE)?.to_str().ok()?;
    Some(upgrade.split(',').next()?.trim().to_ascii_lowercase().as_str().into())
}

/// The answer to a WebSocket client's key.
pub(super) fn websocket_accept(head: &RequestHeader) -> Option<HeaderValue> {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let key = head.headers.get(WEBSOCKET_KEY)?;
    let text = [key.as_bytes(), GUID].concat();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &text);
    HeaderValue::from_str(&data_encoding::BASE64.encode(digest.as_ref())).ok()
}

fn uri(head: &RequestHeader, is_secure: bool) -> Result<Uri> {
    let unsendable = || Http2Fault::Target.error(ErrorType::InvalidHTTPHeader, "for HTTP/2".to_owned());
    let target = head.raw_path();
    let path = PathAndQuery::from_maybe_shared(Bytes::copy_from_slice(target)).map_err(|_| unsendable())?;
    if path.as_str().as_bytes() != target {
        // A fragment, which is no part of a target.
        return Err(unsendable());
    }
    let host = head.headers.get(header::HOST).map_or(&b"localhost"[..], HeaderValue::as_bytes);
    let authority = Authority::from_maybe_shared(Bytes::copy_from_slice(host)).map_err(|_| unsendable())?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if is_secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| unsendable())
}

/// RFC 9113 section 8.2.2: what is about an HTTP/1 connection stays behind.
fn copy_fields(from: &HeaderMap, to: &mut HeaderMap, is_tunnel: bool) {
    to.reserve(from.len());
    for (name, value) in from {
        let stays = match name.as_str() {
            "host" | "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
            | "http2-settings" => false,
            "te" => is_trailers(value),
            "sec-websocket-key" | "content-length" => !is_tunnel,
            _ => true,
        };
        if stays && *name == header::TE {
            to.insert(header::TE, HeaderValue::from_static("trailers"));
        } else if stays {
            to.append(name, value.clone());
        }
    }
}

fn is_trailers(te: &HeaderValue) -> bool {
    te.as_bytes().split(|b| *b == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, target: &str, fields: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    #[test]
    fn what_is_about_a_connection_stays_behind() {
        let fields = [
            ("Host", "a.test:8080"),
            ("Connection", "keep-alive, x"),
            ("Keep-Alive", "5"),
            ("Transfer-Encoding", "chunked"),
            ("TE", "deflate, Trailers"),
            ("Cookie", "a=1"),
            ("X-A", "1"),
            ("X-A", "2"),
        ];
        let request = to_http2(&head("POST", "/a?b=%20c", &fields), true, None).unwrap();
        assert_eq!(request.uri().to_string(), "https://a.test:8080/a?b=%20c");
        assert_eq!(request.method(), Method::POST);
        let sent: Vec<_> = request.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(sent, [("te", "trailers"), ("cookie", "a=1"), ("x-a", "1"), ("x-a", "2")]);
        let plain = to_http2(&head("GET", "/", &[("TE", "deflate")]), false, None).unwrap();
        assert_eq!((plain.uri().to_string().as_str(), plain.headers().len()), ("http://localhost/", 0));
        assert_eq!(to_http2(&head("OPTIONS", "*", &[]), false, None).unwrap().uri().path(), "*");
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (target, host) in [("/", "a b"), ("/", "")] {
            let refused = to_http2(&head("GET", target, &[("Host", host)]), false, None).unwrap_err();
            assert_eq!(refused.root_cause().downcast_ref(), Some(&Http2Fault::Target), "{target} {host}");
        }
    }

    /// The key and its answer are those of RFC 6455 section 1.3.
    #[test]
    fn a_websocket_becomes_an_extended_connect() {
        let fields = [
            ("Host", "a.test"),
            ("Connection", "Upgrade"),
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ];
        let head = head("GET", "/chat", &fields);
        let protocol = asked_protocol(&head).unwrap();
        assert_eq!(protocol.as_str(), "websocket");
        let request = to_http2(&head, true, Some(protocol)).unwrap();
        assert_eq!((request.method(), request.uri().path()), (&Method::CONNECT, "/chat"));
        assert_eq!(request.headers().keys().collect::<Vec<_>>(), ["sec-websocket-version"]);
        assert_eq!(websocket_accept(&head).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
