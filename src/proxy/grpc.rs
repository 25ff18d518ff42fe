//! The proxy's own errors for clients of gRPC, which look for a status of theirs and read no
//! page: a response of trailers only (PROTOCOL-HTTP2 of gRPC, "Responses").

use http::header::{self, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::filter::Cause;
use crate::message::request_id::RequestId;

/// What is escaped in a `grpc-message`.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%');

/// The content type of a request of gRPC or gRPC-Web.
pub fn content_type(request: &RequestHeader) -> Option<&HeaderValue> {
    let kind = request.headers.get(header::CONTENT_TYPE)?;
    let rest = kind.as_bytes().strip_prefix(b"application/grpc")?;
    matches!(rest.first(), None | Some(b'+' | b';' | b'-')).then_some(kind)
}

/// The whole reply to a request of this content type.
///
/// # Errors
/// Never: each of its fields is made here.
pub fn error_reply(cause: Cause, content_type: &HeaderValue, id: &RequestId) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(200, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, content_type)?;
    head.insert_header("grpc-status", status(cause.status()))?;
    head.insert_header("grpc-message", utf8_percent_encode(cause.message(), ESCAPED).to_string())?;
    head.insert_header("X-Request-Id", id.to_string())?;
    Ok(head)
}

/// The code of gRPC for a status of HTTP (`http-grpc-status-mapping` of gRPC). Limits of ours are
/// told as exhausted resources, which clients do not take for a service that is away.
fn status(http: u16) -> u16 {
    const UNKNOWN: u16 = 2;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match http {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        413 | 414 | 429 | 431 => RESOURCE_EXHAUSTED,
        502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(content_type: &str) -> bool {
        let mut request = RequestHeader::build("POST", b"/a.B/c", None).unwrap();
        request.append_header("Content-Type", content_type).unwrap();
        super::content_type(&request).is_some()
    }

    #[test]
    fn a_request_of_grpc_is_known_by_its_content_type() {
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc;x", "application/grpc-web-text"] {
            assert!(asked(kind), "{kind}");
        }
        assert!(!asked("application/grpcx") && !asked("application/json"));
    }

    #[test]
    fn a_cause_is_told_in_the_terms_of_grpc() {
        let kind = HeaderValue::from_static("application/grpc");
        let head = error_reply(Cause::ConnectRefused, &kind, &RequestId::example()).unwrap();
        let field = |name: &str| head.headers[name].to_str().unwrap();
        assert_eq!(
            (head.status.as_u16(), field("grpc-status"), field("content-type")),
            (200, "14", "application/grpc")
        );
        assert_eq!(field("grpc-message"), Cause::ConnectRefused.message());
        assert_eq!((status(404), status(413), status(408)), (12, 8, 2));
    }
}
