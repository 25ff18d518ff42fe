//! A reason phrase that `ResponseHeader` cannot carry.

use bytes::Bytes;

/// The reason of a response as its upstream sent it, with bytes outside ASCII (RFC 9112 section 4).
/// It goes with the head as an extension.
#[derive(Clone, Debug)]
pub struct RawReason(pub Bytes);

impl RawReason {
    /// That of the head which `bytes` are, if there is one.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let line = bytes.get(..memchr::memchr(b'\n', bytes)?)?;
        // `HTTP/1.1 200 ` is in front of it.
        let reason = line.get(13..)?.trim_ascii();
        (!reason.is_empty() && !reason.is_ascii()).then(|| Self(Bytes::copy_from_slice(reason)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_carried_otherwise_is_one() {
        let reason = |line: &[u8]| RawReason::of(line).map(|reason| reason.0);
        assert_eq!(reason(b"HTTP/1.1 404 Nicht gef\xfcnden\r\nA: 1\r\n\r\n").unwrap(), &b"Nicht gef\xfcnden"[..]);
        for line in [&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"HTTP/1.1 200 \r\n\r\n", b"HTTP/1.1 200\r\n\r\n", b""] {
            assert_eq!(reason(line), None);
        }
    }
}
