//! Which of the fields that are seldom there an upstream's response has.

use http::header::{HeaderMap, HeaderValue};

use crate::message::hop::FieldKind;

/// Kinds of fields that some filter would look for. One look at all names is cheaper
/// than a look-up of each.
#[derive(Clone, Copy, Debug, Default)]
pub struct RareFields {
    /// `Connection`, or a field that ends at this hop whatever that says.
    pub hop_by_hop: bool,
    /// `Location`, `Content-Location` or `Refresh`.
    pub location: bool,
    pub set_cookie: bool,
    pub transfer_encoding: bool,
    /// More than one `Content-Length`, or one that is not in the form in which every reader finds the same number.
    pub odd_length: bool,
    /// A `Content-Type` of server-sent events.
    pub event_stream: bool,
}

impl RareFields {
    pub fn in_fields(headers: &HeaderMap) -> Self {
        let (mut rare, mut has_length) = (Self::default(), false);
        for (name, value) in headers {
            match name.as_str() {
                "location" | "content-location" | "refresh" => rare.location = true,
                "set-cookie" => rare.set_cookie = true,
                "transfer-encoding" => rare.transfer_encoding = true,
                "content-length" => {
                    let is_second = std::mem::replace(&mut has_length, true);
                    rare.odd_length |= is_second || !is_canonical(value.as_bytes());
                }
                "content-type" => rare.event_stream |= is_event_stream(value),
                other => match FieldKind::of(other) {
                    FieldKind::Switch | FieldKind::Te | FieldKind::EndsHere => rare.hop_by_hop = true,
                    FieldKind::Frame | FieldKind::TellsOfTheClient | FieldKind::Other => {}
                },
            }
        }
        rare
    }
}

/// Digits without leading zeros.
fn is_canonical(length: &[u8]) -> bool {
    length == b"0" || (length.iter().all(u8::is_ascii_digit) && !length.starts_with(b"0"))
}

fn is_event_stream(kind: &HeaderValue) -> bool {
    kind.as_bytes().get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fields: &[(&'static str, &'static str)]) -> RareFields {
        let mut table = HeaderMap::new();
        for (name, value) in fields {
            table.append(*name, HeaderValue::from_static(value));
        }
        RareFields::in_fields(&table)
    }

    #[test]
    fn a_length_that_is_odd_is_told_from_a_plain_one() {
        for plain in ["0", "5", "1234567890"] {
            assert!(!found(&[("content-length", plain)]).odd_length, "{plain}");
        }
        for odd in ["05", "00", "5, 5", "5,", "+5", " 5"] {
            assert!(found(&[("content-length", odd)]).odd_length, "{odd}");
        }
        assert!(found(&[("content-length", "5"), ("content-length", "5")]).odd_length);
    }

    #[test]
    fn server_sent_events_are_known_by_their_type() {
        for (kind, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event", false),
            ("text/html", false),
        ] {
            assert_eq!(found(&[("content-type", kind)]).event_stream, expected, "{kind}");
        }
    }
}
