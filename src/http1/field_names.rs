//! The names of fields that are often sent: one that is known is neither parsed nor copied.

use std::sync::LazyLock;

use http::HeaderName;

/// How a name is usually spelled, and the name.
type Known = (&'static str, HeaderName);

/// The name that is spelled in its usual way; `None` for one that is seldom sent, or that is spelled otherwise.
pub fn usual(spelled: &str) -> Option<&'static HeaderName> {
    of_length(spelled.len()).iter().find(|(usual, _)| *usual == spelled).map(|(_, name)| name)
}

/// The same text with a life of its own, in its usual spelling or in small letters.
pub fn lasting(spelled: &str) -> Option<&'static str> {
    let either = |(usual, name): &'static Known| [*usual, name.as_str()].into_iter().find(|known| *known == spelled);
    of_length(spelled.len()).iter().find_map(either)
}

fn of_length(length: usize) -> &'static [Known] {
    BY_LENGTH.get(length).map_or(&[], Vec::as_slice)
}

static BY_LENGTH: LazyLock<Vec<Vec<Known>>> = LazyLock::new(|| {
    let mut all = vec![Vec::new(); LONGEST + 1];
    for spelled in KNOWN {
        if let (Some(same), Ok(name)) = (all.get_mut(spelled.len()), HeaderName::from_bytes(spelled.as_bytes())) {
            same.push((spelled, name));
        }
    }
    all
});

const LONGEST: usize = 32;

/// Of requests, then of responses; of one length, the more frequent first.
const KNOWN: [&str; 66] = [
    "Host",
    "Accept",
    "User-Agent",
    "Accept-Encoding",
    "Accept-Language",
    "Connection",
    "Cookie",
    "Content-Type",
    "Content-Length",
    "Authorization",
    "Referer",
    "Origin",
    "Cache-Control",
    "If-None-Match",
    "If-Modified-Since",
    "If-Range",
    "Range",
    "Expect",
    "TE",
    "DNT",
    "Via",
    "Upgrade",
    "Transfer-Encoding",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Real-IP",
    "X-Request-Id",
    "X-Requested-With",
    "X-CSRF-Token",
    "traceparent",
    "tracestate",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Site",
    "Sec-Fetch-Dest",
    "Sec-Fetch-User",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
    "Upgrade-Insecure-Requests",
    "Date",
    "Server",
    "ETag",
    "Vary",
    "Last-Modified",
    "Accept-Ranges",
    "Content-Encoding",
    "Content-Range",
    "Content-Disposition",
    "Set-Cookie",
    "Location",
    "Expires",
    "Age",
    "Allow",
    "Keep-Alive",
    "X-Powered-By",
    "X-Frame-Options",
    "WWW-Authenticate",
    "X-Content-Type-Options",
    "Strict-Transport-Security",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::spelling::is_usual;

    #[test]
    fn a_usual_name_is_found_as_it_is_spelled_and_no_other() {
        for spelled in KNOWN {
            assert!(spelled.len() <= LONGEST && is_usual(spelled.as_bytes()), "{spelled}");
            let name = HeaderName::from_bytes(spelled.as_bytes()).unwrap();
            assert_eq!(usual(spelled), Some(&name));
            assert_eq!((lasting(spelled), lasting(name.as_str())), (Some(spelled), Some(name.as_str())));
        }
        for other in ["", "HOST", "x", "Accept-encoding", "A-Name-That-Is-Longer-Than-All-Of-Them"] {
            assert_eq!((usual(other), lasting(other)), (None, None), "{other}");
        }
        assert_eq!((usual("host"), lasting("host")), (None, Some("host")));
    }
}
