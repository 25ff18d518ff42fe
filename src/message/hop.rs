//! Hop-by-hop fields (RFC 9110 section 7.6.1): which may not travel further, in a
//! request or a response. `Transfer-Encoding` is not asked for here: it frames the
//! message that is being written.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue};

/// What a message's `Connection` says of its other fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It names none of them: absent, or `keep-alive` and `close`.
    Plain,
    Nominates,
}

impl Connection {
    pub fn of(headers: &HeaderMap) -> Self {
        let plain = |token: &[u8]| {
            token.is_empty() || token.eq_ignore_ascii_case(b"keep-alive") || token.eq_ignore_ascii_case(b"close")
        };
        let mut values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
        // Nearly every one is a single word.
        if values.all(|value| plain(value) || split(value).all(plain)) { Self::Plain } else { Self::Nominates }
    }

    /// Whether a field ends at this hop. `Connection` and `Upgrade` are the caller's
    /// to judge: some messages need them.
    pub fn ends(self, name: &HeaderName, headers: &HeaderMap) -> bool {
        match name.as_str() {
            "te"
            | "trailer"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "http2-settings" => true,
            // Framing, authority and identity are not a connection's to name.
            "connection" | "upgrade" | "content-length" | "transfer-encoding" | "set-cookie" | "host" => false,
            other => {
                self == Self::Nominates && tokens(headers).any(|token| token.eq_ignore_ascii_case(other.as_bytes()))
            }
        }
    }
}

/// Whether `Connection` holds this token.
pub fn connection_has(headers: &HeaderMap, wanted: &[u8]) -> bool {
    tokens(headers).any(|token| token.eq_ignore_ascii_case(wanted))
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(CONNECTION).iter().flat_map(|value| split(value.as_bytes()))
}

fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_ends_here() {
        let mut headers = HeaderMap::new();
        let hop = HeaderName::from_static("x-hop");
        let ends = |headers: &HeaderMap, name: &HeaderName| Connection::of(headers).ends(name, headers);
        assert!(!ends(&headers, &hop));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive , Close,"));
        assert_eq!(Connection::of(&headers), Connection::Plain);
        assert!(ends(&headers, &HeaderName::from_static("keep-alive")));
        headers.append(CONNECTION, HeaderValue::from_static("X-Hop,content-length"));
        assert!(ends(&headers, &hop));
        assert!(!ends(&headers, &http::header::CONTENT_LENGTH));
        assert!(!ends(&headers, &http::header::ETAG));
        assert!(connection_has(&headers, b"close") && !connection_has(&headers, b"clos"));
    }
}
