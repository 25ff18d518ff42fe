//! The heads that Pingora writes to a client: which of them is final, and the
//! upstream's own `Date` in place of Pingora's.

use std::ops::Range;

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

/// Appends `head` to `out` with the value of its `Date` replaced.
pub fn write_with_date(out: &mut Vec<u8>, head: &[u8], date: &[u8]) {
    match date_value(head) {
        Some(place) => {
            out.extend_from_slice(&head[..place.start]);
            out.extend_from_slice(date);
            out.extend_from_slice(&head[place.end..]);
        }
        None => out.extend_from_slice(head),
    }
}

/// Where the value of the first `Date` stands in a head.
fn date_value(head: &[u8]) -> Option<Range<usize>> {
    memchr::memchr_iter(b'\n', head).find_map(|end_of_line| {
        let start = end_of_line + 1;
        let name = head.get(start..start + 6)?;
        if !name.eq_ignore_ascii_case(b"date: ") {
            return None;
        }
        let value = start + 6;
        Some(value..value + memchr::memchr(b'\r', &head[value..])?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interim_and_final_heads_are_told_apart() {
        assert_eq!(kind(b"HTTP/1.1 100 Continue\r\n\r\n"), Kind::Interim);
        assert_eq!(kind(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"), Kind::Switching);
        assert_eq!(kind(b"HTTP/1.0 200 OK\r\n\r\n"), Kind::Final);
        assert_eq!(kind(b""), Kind::Final);
    }

    #[test]
    fn only_the_date_changes() {
        let head = b"HTTP/1.1 200 OK\r\nX-Date: a\r\ndate: Tue, 24 Nov 2026 17:00:00 GMT\r\nA: 1\r\n\r\n";
        let mut out = Vec::new();
        write_with_date(&mut out, head, b"then");
        assert_eq!(out, b"HTTP/1.1 200 OK\r\nX-Date: a\r\ndate: then\r\nA: 1\r\n\r\n");
        out.clear();
        write_with_date(&mut out, b"HTTP/1.1 200 OK\r\n\r\n", b"then");
        assert_eq!(out, b"HTTP/1.1 200 OK\r\n\r\n");
    }
}
