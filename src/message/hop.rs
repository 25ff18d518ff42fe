//! Hop-by-hop fields of a response (RFC 9110 section 7.6.1). Pingora strips
//! those of a request itself; those of a response it lets through.

use http::header::{CONNECTION, HeaderMap, HeaderName, TE, TRAILER, UPGRADE};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a response carries any field that may not go further. Cheap: most
/// responses carry at most `Connection`.
pub fn any_in_response(headers: &HeaderMap) -> bool {
    headers.contains_key(CONNECTION)
        || headers.contains_key(KEEP_ALIVE)
        || headers.contains_key(PROXY_CONNECTION)
        || headers.contains_key(TRAILER)
        || headers.contains_key(TE)
        || headers.contains_key(UPGRADE)
}

/// Whether this field of a response stays behind. `Transfer-Encoding` is not
/// asked for here: it frames the message that is being written.
///
/// `keep_upgrade`: 101 and 426 need their `Upgrade`.
pub fn stays_behind(name: &HeaderName, headers: &HeaderMap, keep_upgrade: bool) -> bool {
    if name == CONNECTION || name == UPGRADE {
        return !keep_upgrade;
    }
    name == KEEP_ALIVE
        || name == PROXY_CONNECTION
        || name == TRAILER
        || name == TE
        || named_by_connection(name, headers)
}

fn named_by_connection(name: &HeaderName, headers: &HeaderMap) -> bool {
    // Framing and authority are not a connection's to name.
    if matches!(name.as_str(), "content-length" | "transfer-encoding" | "set-cookie") {
        return false;
    }
    headers.get_all(CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|b| *b == b',')
            .any(|token| token.trim_ascii().eq_ignore_ascii_case(name.as_str().as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_connection_names_stays_behind() {
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("close, X-Hop"));
        let hop = HeaderName::from_static("x-hop");
        assert!(any_in_response(&headers));
        assert!(stays_behind(&hop, &headers, false));
        assert!(stays_behind(&CONNECTION, &headers, false));
        assert!(!stays_behind(&CONNECTION, &headers, true));
        assert!(!stays_behind(&http::header::ETAG, &headers, false));
    }
}
