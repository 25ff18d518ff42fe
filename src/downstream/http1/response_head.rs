//! The heads that Pingora writes to a client: which of them is final, and the
//! upstream's own `Date` in place of Pingora's.

use std::ops::Range;

use crate::downstream::exchange::Date;

/// What a head that was just written means for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 1xx: another head follows.
    Interim,
    /// 101: from here on the connection is a tunnel.
    Switching,
    Final,
}

/// `head` starts with a status line that Pingora wrote: `HTTP/1.1 200 OK`.
pub fn kind(head: &[u8]) -> Kind {
    match head.get(9..12) {
        Some(b"101") => Kind::Switching,
        Some([b'1', _, _]) => Kind::Interim,
        Some(_) | None => Kind::Final,
    }
}

/// Appends `head` to `out` with another `Date` in place of its own.
pub fn write_with_date(out: &mut Vec<u8>, head: &[u8], date: &Date) {
    match date_field(head) {
        Some(place) => {
            out.extend_from_slice(&head[..place.start]);
            out.extend_from_slice(&date.name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(date.value.as_bytes());
            out.extend_from_slice(&head[place.end..]);
        }
        None => out.extend_from_slice(head),
    }
}

/// Where the first `Date` stands in a head.
fn date_field(head: &[u8]) -> Option<Range<usize>> {
    memchr::memchr_iter(b'\n', head).find_map(|end_of_line| {
        let start = end_of_line + 1;
        let name = head.get(start..start + 6)?;
        if !name.eq_ignore_ascii_case(b"date: ") {
            return None;
        }
        Some(start..start + memchr::memchr(b'\r', &head[start..])?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn interim_and_final_heads_are_told_apart() {
        assert_eq!(kind(b"HTTP/1.1 100 Continue\r\n\r\n"), Kind::Interim);
        assert_eq!(kind(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Kind::Switching);
        assert_eq!(kind(b"HTTP/1.0 200 OK\r\n\r\n"), Kind::Final);
        assert_eq!(kind(b""), Kind::Final);
    }

    #[test]
    fn only_the_date_changes() {
        let then = Date { name: *b"date", value: HeaderValue::from_static("then") };
        let head = b"HTTP/1.1 200 OK\r\nX-Date: a\r\nDate: Tue, 24 Nov 2026 17:00:00 GMT\r\nA: 1\r\n\r\n";
        let mut out = Vec::new();
        write_with_date(&mut out, head, &then);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nX-Date: a\r\ndate: then\r\nA: 1\r\n\r\n");
        out.clear();
        write_with_date(&mut out, b"HTTP/1.1 200 OK\r\n\r\n", &then);
        assert_eq!(out, b"HTTP/1.1 200 OK\r\n\r\n");
    }
}
