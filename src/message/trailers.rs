//! Trailers: fields behind a body. Those that frame a message, route it or say who sent it have no
//! meaning there and are dropped, never merged (RFC 9110 section 6.5.1).

use http::HeaderMap;

use super::hop::ends_here;

/// The trailers without those.
pub fn without_forbidden(mut trailers: HeaderMap) -> HeaderMap {
    let forbidden: Vec<_> = trailers.keys().filter(|name| is_forbidden(name.as_str())).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    trailers
}

/// `name` in lower case.
fn is_forbidden(name: &str) -> bool {
    const FORBIDDEN: [&str; 20] = [
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "set-cookie",
        "host",
        "transfer-encoding",
        "upgrade",
        "authorization",
        "proxy-authorization",
        "www-authenticate",
        "proxy-authenticate",
        "cache-control",
        "expect",
        "max-forwards",
        "range",
        "forwarded",
        "x-real-ip",
    ];
    FORBIDDEN.contains(&name) || ends_here(name) || name.starts_with("x-forwarded-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_concerns_the_whole_message_is_no_trailer() {
        let mut trailers = HeaderMap::new();
        for name in ["grpc-status", "content-length", "te", "x-forwarded-for", "host", "server-timing"] {
            trailers.insert(name, HeaderValue::from_static("1"));
        }
        let left = without_forbidden(trailers);
        assert_eq!(left.keys().collect::<Vec<_>>(), ["grpc-status", "server-timing"]);
    }
}
