//! The head of a response as bytes: its fields in the order and the spelling in which they
//! came, with a `Date` and what becomes of the connection.

use bytes::BytesMut;
use http::header::{self, HeaderValue};
use pingora_core::protocols::http::date::get_cached_date;
use pingora_http::ResponseHeader;

use crate::http1::RawReason;
use crate::http1::spelling;

/// Many heads are no longer.
const USUAL_LENGTH: usize = 256;

/// Writes the head of an interim response, or of one that switches protocols, as it is.
pub(super) fn write_as_is(out: &mut BytesMut, head: &ResponseHeader) {
    write_status(out, head);
    spelling::response_fields(head).for_each(|(name, value)| name.push_line(value, out));
    out.extend_from_slice(b"\r\n");
}

/// Writes the head of a final response. `keep_alive`: whether the connection goes on after it.
pub(super) fn write_final(out: &mut BytesMut, head: &ResponseHeader, keep_alive: bool) {
    let connection = HeaderValue::from_static(if keep_alive { "keep-alive" } else { "close" });
    let (mut has_date, mut has_connection) = (false, false);
    write_status(out, head);
    spelling::response_fields(head).for_each(|(name, value)| {
        if name.is(&header::DATE) {
            // The origin's, and only one.
            if !std::mem::replace(&mut has_date, true) {
                name.push_line(value, out);
            }
        } else if name.is(&header::CONNECTION) {
            if !std::mem::replace(&mut has_connection, true) {
                write_field(out, b"Connection", &connection);
            }
        } else {
            name.push_line(value, out);
        }
    });
    if !has_date {
        write_field(out, b"Date", &get_cached_date());
    }
    if !has_connection {
        write_field(out, b"Connection", &connection);
    }
    out.extend_from_slice(b"\r\n");
}

/// The version is ours, not the upstream's (RFC 9110 section 2.5).
fn write_status(out: &mut BytesMut, head: &ResponseHeader) {
    out.reserve(USUAL_LENGTH);
    let reason = match head.extensions.get::<RawReason>() {
        Some(raw) => &raw.0,
        None => head.get_reason_phrase().unwrap_or_default().as_bytes(),
    };
    [b"HTTP/1.1 ", head.status.as_str().as_bytes(), b" ", reason, b"\r\n"]
        .iter()
        .for_each(|part| out.extend_from_slice(part));
}

fn write_field(out: &mut BytesMut, name: &[u8], value: &HeaderValue) {
    [name, b": ", value.as_bytes(), b"\r\n"].iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&'static str, &'static str)]) -> ResponseHeader {
        let mut head = ResponseHeader::build(status, None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn written(head: &ResponseHeader, keep_alive: bool) -> String {
        let mut out = BytesMut::new();
        write_final(&mut out, head, keep_alive);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn fields_keep_their_order_and_spelling_and_the_date_is_the_origins() {
        let head = head(200, &[("X-Date", "a"), ("date", "then"), ("server", "S"), ("DATE", "later"), ("A", "1")]);
        assert_eq!(
            written(&head, true),
            "HTTP/1.1 200 OK\r\nX-Date: a\r\ndate: then\r\nserver: S\r\nA: 1\r\nConnection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    fn what_is_missing_is_added() {
        let text = written(&head(299, &[("connection", "upgrade"), ("b", "2")]), false);
        let (before, after) = text.split_once("Date: ").unwrap();
        assert_eq!(before, "HTTP/1.1 299 \r\nConnection: close\r\nb: 2\r\n");
        assert!(after.ends_with(" GMT\r\n\r\n"), "{after}");
    }

    #[test]
    fn an_interim_head_stays_as_it_is() {
        let mut out = BytesMut::new();
        write_as_is(&mut out, &head(101, &[("upgrade", "x"), ("Connection", "Upgrade")]));
        assert_eq!(out, "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nConnection: Upgrade\r\n\r\n");
    }
}
