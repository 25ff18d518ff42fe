//! The head of a response, from HTTP/2 to what Pingora carries. What is malformed in itself (RFC 9113
//! section 8.1.1) was refused by the `h2` crate.

use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{StatusCode, Version};
use pingora::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;

use crate::upstream::http1::BadResponse;

/// A head with more fields is not read.
const MOST_FIELDS: usize = 1024;

/// The head of an interim or final response. `most`: a larger one is not taken, in bytes, as RFC 9113
/// section 6.5.2 counts its fields.
///
/// # Errors
/// When it is more than is carried, has several lengths, or switches protocols, which HTTP/2 does
/// not (RFC 9113 section 8.6).
pub(super) fn from_http2(parts: Parts, most: usize) -> Result<Box<ResponseHeader>> {
    check(&parts.headers, most).map_err(refused)?;
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(BadResponse::Switch));
    }
    let mut head = ResponseHeader::from(parts);
    head.set_version(Version::HTTP_11);
    Ok(Box::new(head))
}

/// What a client that asked for an upgrade is told once the server has opened the tunnel.
///
/// # Errors
/// Never: the fields are valid.
pub(super) fn switch(
    mut head: Box<ResponseHeader>,
    protocol: &str,
    accept: Option<HeaderValue>,
) -> Result<Box<ResponseHeader>> {
    head.set_status(StatusCode::SWITCHING_PROTOCOLS)?;
    head.remove_header(&header::CONTENT_LENGTH);
    head.insert_header(header::CONNECTION, "Upgrade")?;
    head.insert_header(header::UPGRADE, protocol)?;
    if let Some(accept) = accept {
        head.insert_header("Sec-WebSocket-Accept", accept)?;
    }
    Ok(head)
}

/// The length that the head says.
pub(super) fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn check(fields: &HeaderMap, most: usize) -> std::result::Result<(), BadResponse> {
    if fields.len() > MOST_FIELDS {
        return Err(BadResponse::TooManyFields);
    }
    let size: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    if size > most {
        return Err(BadResponse::HeadTooLarge);
    }
    let mut lengths = fields.get_all(header::CONTENT_LENGTH).iter();
    let first = lengths.next();
    let is_number = |length: &HeaderValue| !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    let is_one = first.is_none_or(|first| is_number(first) && lengths.all(|other| other == first));
    if is_one { Ok(()) } else { Err(BadResponse::Length) }
}

pub(super) fn refused(bad: BadResponse) -> Box<Error> {
    Error::because(ErrorType::InvalidHTTPHeader, "from an upstream", bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    const MOST: usize = 1 << 16;

    fn read(status: u16, fields: &[(&str, &str)]) -> std::result::Result<Box<ResponseHeader>, BadResponse> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let parts = response.body(()).unwrap().into_parts().0;
        from_http2(parts, MOST).map_err(|error| *error.root_cause().downcast_ref().unwrap())
    }

    #[test]
    fn a_head_is_carried_as_it_came() {
        let head = read(404, &[("x-a", "1"), ("x-a", "2"), ("content-length", "5")]).unwrap();
        assert_eq!((head.status.as_u16(), head.headers.get_all("x-a").iter().count()), (404, 2));
        assert_eq!(length(&head.headers), Some(5));
    }

    #[test]
    fn what_is_not_carried_is_told_apart() {
        assert_eq!(read(101, &[]).unwrap_err(), BadResponse::Switch);
        for lengths in [&["5", "6"][..], &["+5"], &[""], &["5, 5"]] {
            let fields: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
            assert_eq!(read(200, &fields).unwrap_err(), BadResponse::Length, "{lengths:?}");
        }
        assert_eq!(read(200, &vec![("a", "1"); MOST_FIELDS + 1]).unwrap_err(), BadResponse::TooManyFields);
        let large = "x".repeat(MOST / 2);
        assert_eq!(read(200, &[("a", &large), ("b", &large)]).unwrap_err(), BadResponse::HeadTooLarge);
    }

    #[test]
    fn an_open_tunnel_is_a_switch_of_protocols() {
        let accept = Some(HeaderValue::from_static("k"));
        let head = switch(read(200, &[("content-length", "0"), ("x", "1")]).unwrap(), "websocket", accept).unwrap();
        let fields = ["connection", "upgrade", "sec-websocket-accept", "x"].map(|name| head.headers[name].clone());
        assert_eq!(
            (head.status.as_u16(), fields),
            (101, ["Upgrade", "websocket", "k", "1"].map(HeaderValue::from_static))
        );
        assert!(!head.headers.contains_key("content-length"));
    }
}
