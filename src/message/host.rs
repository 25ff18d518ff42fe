//! The Host of a request: splitting, validating, normalising.

use std::borrow::Cow;

use super::bytes::alphanumeric_or;

/// Splits `host[:port]`. An IPv6 literal keeps its brackets.
///
/// Returns `None` when the text is not a host with an optional port as RFC 9110
/// section 7.2 and RFC 3986 section 3.2.2 allow: empty, userinfo, lists, spaces,
/// a port that is not a number up to 65535.
pub fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')?;
        let inner = authority.get(1..end)?;
        inner.parse::<std::net::Ipv6Addr>().ok()?;
        (authority.get(..=end)?, authority.get(end + 1..)?)
    } else {
        let end = memchr::memchr(b':', authority.as_bytes()).unwrap_or(authority.len());
        let host = authority.get(..end)?;
        if host.is_empty() || !host.bytes().all(|b| REG_NAME[usize::from(b)]) {
            return None;
        }
        (host, authority.get(end..)?)
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Some((host, None)),
        None => None,
        // RFC 3986 section 3.2.3 allows an empty port.
        Some("") => Some((host, None)),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some((host, Some(digits.parse().ok()?))),
        Some(_) => None,
    }
}

/// The bytes of a reg-name (RFC 3986 section 3.2.2) without `,`, which would be a list of
/// hosts, and without escapes, which no resolver takes.
static REG_NAME: [bool; 256] = alphanumeric_or(b"-._~!$&'()*+;=");

/// The host in the form on which routes match: in lower case, without a final dot.
pub fn normalize(host: &str) -> Cow<'_, str> {
    let host = host.strip_suffix('.').filter(|h| !h.is_empty()).unwrap_or(host);
    if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// Whether `host[:port]` is this machine by its name or its address.
pub fn is_loopback(authority: &str) -> bool {
    let Some((name, _)) = split(authority) else { return false };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split("example.com"), Some(("example.com", None)));
        assert_eq!(split("example.com:8080"), Some(("example.com", Some(8080))));
        assert_eq!(split("example.com:"), Some(("example.com", None)));
        assert_eq!(split("[::1]:80"), Some(("[::1]", Some(80))));
        assert_eq!(split("under_score"), Some(("under_score", None)));
    }

    #[test]
    fn this_machine_is_known_by_name_and_address() {
        for own in ["localhost", "localhost:80", "127.0.0.1:1", "127.9.9.9", "[::1]:80"] {
            assert!(is_loopback(own), "{own}");
        }
        for other in ["localhost.test", "127.0.0.1.test", "128.0.0.1", "[::2]", "", "a@localhost"] {
            assert!(!is_loopback(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in ["", ":80", "a b", "a,b", "u@h", "a:b", "a:99999", "[::1", "[x]", "a/b", "[::1]x", "a:+1"] {
            assert_eq!(split(bad), None, "{bad}");
        }
    }

    #[test]
    fn normal_form_is_lower_case_without_final_dot() {
        assert_eq!(normalize("Example.COM."), "example.com");
        assert!(matches!(normalize("a.b"), Cow::Borrowed("a.b")));
    }

    proptest! {
        #[test]
        fn no_text_panics(s in ".{0,60}") {
            if let Some((host, _)) = split(&s) {
                normalize(host);
            }
        }
    }
}
