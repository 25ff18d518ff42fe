//! Trailers: fields behind a body. Those that frame a message, route it or say who sent it have no
//! meaning there and are dropped, never merged (RFC 9110 section 6.5.1). Servers that merge them all
//! the same, and take `_` for `-`, see nothing in them that the head could not have said.

use std::borrow::Cow;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::alike::are_alike;
use super::hop::{ends_here, nominated, tells_of_the_client};

/// What of a request's trailers does not go on beside what never does.
#[derive(Clone, Debug, Default)]
pub struct RequestTrailers {
    /// Fields that are not the client's to say on its route.
    pub withheld: Option<Arc<[HeaderName]>>,
    /// Whether names with an underscore go on.
    pub keeps_underscores: bool,
}

impl RequestTrailers {
    /// The trailers that go on behind a request of this head, as the upstream gets it. What the head
    /// says is not said again behind the body: that keeps every field that the proxy has set.
    pub fn of(&self, trailers: HeaderMap, head: &HeaderMap) -> HeaderMap {
        let withheld = || self.withheld.iter().flat_map(|names| names.iter());
        without(trailers, |name| {
            (!self.keeps_underscores && memchr::memchr(b'_', name.as_bytes()).is_some())
                || head.keys().chain(withheld()).any(|field| are_alike(field.as_str(), name))
        })
    }
}

/// The trailers that go on behind a response of this head; `None` where none do.
pub fn of_response(trailers: HeaderMap, head: &HeaderMap) -> Option<HeaderMap> {
    let trailers = without(beyond_this_hop(trailers, head), |_| false);
    (!trailers.is_empty()).then_some(trailers)
}

/// The trailers without those that the `Connection` of their head says are of its hop (RFC 9110
/// section 7.6.1).
pub fn beyond_this_hop(mut trailers: HeaderMap, head: &HeaderMap) -> HeaderMap {
    for name in nominated(head).filter_map(|name| HeaderName::from_bytes(name).ok()) {
        trailers.remove(name);
    }
    trailers
}

/// Without those, and without those that never go on.
fn without(mut trailers: HeaderMap, is_gone: impl Fn(&str) -> bool) -> HeaderMap {
    let gone = |name: &&HeaderName| is_forbidden(name.as_str()) || is_gone(name.as_str());
    let gone: Vec<_> = trailers.keys().filter(gone).cloned().collect();
    for name in gone {
        trailers.remove(name);
    }
    trailers
}

/// `name` in lower case, in any disguise.
fn is_forbidden(name: &str) -> bool {
    let dashed = match memchr::memchr(b'_', name.as_bytes()) {
        Some(_) => Cow::Owned(name.replace('_', "-")),
        None => Cow::Borrowed(name),
    };
    ends_here(&dashed) || frames_or_controls(&dashed) || tells_of_the_request(&dashed)
}

/// RFC 9110 section 6.5.1: framing, routing, authentication, modifiers of a request and controls of a
/// response.
fn frames_or_controls(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "upgrade"
            | "trailer"
            | "transfer-encoding"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "host"
            | "expect"
            | "max-forwards"
            | "range"
            | "cache-control"
            | "pragma"
            | "authorization"
            | "www-authenticate"
            | "proxy-authorization"
            | "proxy-authenticate"
            | "cookie"
            | "set-cookie"
            | "location"
            | "vary"
            | "expires"
            | "retry-after"
            | "origin"
    ) || name.starts_with("if-")
        || name.starts_with("access-control-")
}

/// What proxies tell servers of a request, and what some servers take for its method or its target.
fn tells_of_the_request(name: &str) -> bool {
    matches!(
        name,
        "x-request-id" | "cdn-loop" | "via" | "traceparent" | "tracestate" | "x-rewrite-url" | "x-http-method-override"
    ) || name.starts_with("x-original-")
        || tells_of_the_client(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn fields(names: &[&'static str]) -> HeaderMap {
        names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1"))).collect()
    }

    fn names(trailers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_concerns_the_whole_message_is_no_trailer() {
        let all = ["grpc-status", "content-length", "te", "trailer", "x-forwarded-for", "host", "server-timing"];
        let none = HeaderMap::new();
        assert_eq!(names(&of_response(fields(&all), &none).unwrap()), ["grpc-status", "server-timing"]);
        assert_eq!(of_response(fields(&["trailer"]), &none), None);
    }

    #[test]
    fn what_connection_names_is_no_trailer_of_the_next_hop() {
        let mut head = HeaderMap::new();
        head.insert("connection", HeaderValue::from_static("close, X-Hop"));
        let trailers = fields(&["x-hop", "x-sum"]);
        assert_eq!(names(&of_response(trailers.clone(), &head).unwrap()), ["x-sum"]);
        assert_eq!(names(&beyond_this_hop(trailers, &head)), ["x-sum"]);
    }

    #[test]
    fn a_trailer_forges_no_field_that_the_proxy_tells_of_a_client() {
        let forged = [
            "x-user",
            "x_user",
            "x-role",
            "x_role",
            "client-cert",
            "client_cert_chain",
            "x-request-id",
            "x_real_ip",
            "x_forwarded_for",
            "forwarded",
            "authorization",
            "x-original-url",
            "x_original-method",
            "x-rewrite-url",
            "if-match",
        ];
        let withheld: Arc<[HeaderName]> = [HeaderName::from_static("x-role")].into();
        let mut rules = RequestTrailers { withheld: Some(withheld), keeps_underscores: true };
        let head = fields(&["x-user", "te"]);
        let mut trailers = fields(&forged);
        trailers.extend(fields(&["x-sum", "x_sum"]));
        assert_eq!(names(&rules.of(trailers.clone(), &head)), ["x-sum", "x_sum"]);
        rules.keeps_underscores = false;
        assert_eq!(names(&rules.of(trailers, &head)), ["x-sum"]);
    }
}
