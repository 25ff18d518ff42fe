//! The head of a response in the form of HTTP/2: without the fields of a connection, with a
//! `Date`.

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode, response};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::ResponseHeader;

/// Fields that frame a message of HTTP/1.1 or speak of its connection (RFC 9113 section 8.2.2).
const OF_CONNECTION: [HeaderName; 4] =
    [header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE, HeaderName::from_static("keep-alive")];

/// The head of an interim response.
pub(super) fn interim(head: ResponseHeader) -> Response<()> {
    let mut parts = response::Parts::from(head);
    if parts.headers.keys().any(|name| OF_CONNECTION.contains(name)) {
        OF_CONNECTION.iter().for_each(|name| drop(parts.headers.remove(name)));
    }
    Response::from_parts(parts, ())
}

/// The head of a final response. One that switches protocols says so with 200 (RFC 8441 section 5).
pub(super) fn last(head: ResponseHeader) -> Response<()> {
    let mut response = interim(head);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
    }
    if !response.headers().contains_key(header::DATE) {
        response.headers_mut().insert(header::DATE, get_cached_date());
    }
    response
}

/// The head of the response to a client that asked for another protocol, where a route answers by
/// itself (RFC 9209 section 2.3.26).
pub(super) fn not_switched() -> Response<()> {
    const WHY: &str = "pingora-proxy; error=http_upgrade_failed; details=\"the route takes no WebSocket\"";
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.headers_mut().insert("proxy-status", HeaderValue::from_static(WHY));
    response.headers_mut().insert(header::DATE, get_cached_date());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_loses_what_is_the_connections_and_gets_a_date() {
        let mut head = ResponseHeader::build(200, None).unwrap();
        for (name, value) in [("Connection", "close"), ("Transfer-Encoding", "chunked"), ("X", "1")] {
            head.append_header(name, value).unwrap();
        }
        let response = last(head);
        let names: Vec<_> = response.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x", "date"]);
        let switched = last(ResponseHeader::build(101, None).unwrap());
        assert_eq!(switched.status(), 200);
        assert_eq!(interim(ResponseHeader::build(103, None).unwrap()).headers().len(), 0);
    }
}
