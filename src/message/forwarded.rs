//! The values of `X-Forwarded-For` and `Forwarded` (RFC 7239) for the next hop, and what a
//! trusted proxy says in them of the client's request.

use std::net::IpAddr;

/// `X-Forwarded-For` for the next hop: what came from a trusted proxy, then the remote
/// address as [`address`] writes it.
pub fn forwarded_for<'v>(believed: impl Iterator<Item = &'v [u8]>, remote: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    for field in believed {
        push_element(&mut out, field.trim_ascii());
    }
    push_element(&mut out, remote);
    out
}

/// A remote address as `X-Forwarded-For` has it; on a unix socket it is `unknown`.
pub fn address(remote: Option<IpAddr>) -> String {
    remote.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string())
}

/// `Forwarded` for the next hop: what came from a trusted proxy, then this hop, whose remote
/// address is written by [`node`].
pub fn forwarded<'v>(believed: impl Iterator<Item = &'v [u8]>, node: &str, host: &str, proto: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    for field in believed {
        push_element(&mut out, field.trim_ascii());
    }
    push_element(&mut out, node.as_bytes());
    if !host.is_empty() {
        // A host holds no quote or backslash (message::host), so it needs no escape.
        let token = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
        let quote: &[u8] = if token { b"" } else { b"\"" };
        [b";host=", quote, host.as_bytes(), quote].iter().for_each(|part| out.extend_from_slice(part));
    }
    out.extend_from_slice(b";proto=");
    out.extend_from_slice(proto.as_bytes());
    out
}

/// The `for=` parameter that names a remote address (RFC 7239 section 6).
pub fn node(remote: Option<IpAddr>) -> String {
    match remote {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    }
}

/// The scheme by which the client came, by the first element of `X-Forwarded-Proto`, or else
/// of `Forwarded`; `None` when they name none.
pub fn believed_scheme(x_forwarded_proto: Option<&[u8]>, forwarded: Option<&[u8]>) -> Option<&'static str> {
    let scheme = x_forwarded_proto.map(first_of_list).or_else(|| parameter(forwarded?, b"proto"))?;
    let is = |names: [&[u8]; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
    // Some proxies write the scheme of a WebSocket.
    if is([b"https", b"wss"]) {
        Some("https")
    } else if is([b"http", b"ws"]) {
        Some("http")
    } else {
        None
    }
}

/// The Host that the client sent, by the first element of `X-Forwarded-Host`, or else of
/// `Forwarded`; `None` when it is no host.
pub fn believed_host<'f>(x_forwarded_host: Option<&'f [u8]>, forwarded: Option<&'f [u8]>) -> Option<&'f str> {
    let name = x_forwarded_host.map(first_of_list).or_else(|| parameter(forwarded?, b"host"))?;
    let name = std::str::from_utf8(name).ok()?;
    super::host::split(name).map(|_| name)
}

/// The `for` of each element of a `Forwarded`, without its quotes; `unknown` where an element has none.
/// Commas in quotes part elements too: no address has one, and a quote that a client opened then
/// takes in nothing of what a proxy wrote behind it.
pub fn nodes(forwarded: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let elements = forwarded.split(|b| *b == b',').filter(|element| !element.trim_ascii().is_empty());
    elements.map(|element| parameter(element, b"for").unwrap_or(b"unknown"))
}

fn first_of_list(field: &[u8]) -> &[u8] {
    field.split(|b| *b == b',').next().unwrap_or(field).trim_ascii()
}

/// A parameter of the first element, without its quotes (RFC 7239 section 4). Escapes stay:
/// neither a scheme nor a host needs one.
fn parameter<'f>(forwarded: &'f [u8], name: &[u8]) -> Option<&'f [u8]> {
    let mut rest = forwarded;
    loop {
        let (pair, end) = match rest
            .iter()
            .scan((false, false), quoted)
            .position(|(byte, quoted)| !quoted && b",;".contains(&byte))
        {
            Some(at) => (&rest[..at], Some((rest[at], &rest[at + 1..]))),
            None => (rest, None),
        };
        let equals = memchr::memchr(b'=', pair)?;
        if pair[..equals].trim_ascii().eq_ignore_ascii_case(name) {
            let value = pair[equals + 1..].trim_ascii();
            return Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
        }
        match end {
            Some((b';', behind)) => rest = behind,
            Some(_) | None => return None,
        }
    }
}

/// Each byte, and whether it is in a quoted string.
fn quoted((inside, escaped): &mut (bool, bool), byte: &u8) -> Option<(u8, bool)> {
    if *escaped {
        *escaped = false;
    } else if *byte == b'"' {
        *inside = !*inside;
    } else {
        *escaped = *inside && *byte == b'\\';
    }
    Some((*byte, *inside))
}

fn push_element(out: &mut Vec<u8>, element: &[u8]) {
    if element.is_empty() {
        return;
    }
    if !out.is_empty() {
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(element);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text_of(bytes: &[u8]) -> String {
        text(bytes.to_vec())
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hops_are_appended() {
        let came: [&[u8]; 2] = [b"1.1.1.1", b" 2.2.2.2 "];
        let remote = address("3.3.3.3".parse().ok());
        assert_eq!(text(forwarded_for(came.into_iter(), remote.as_bytes())), "1.1.1.1, 2.2.2.2, 3.3.3.3");
        assert_eq!(text(forwarded_for([].into_iter(), address(None).as_bytes())), "unknown");
    }

    #[test]
    fn forwarded_quotes_what_is_no_token() {
        let remote = node("2001:db8::1".parse().ok());
        assert_eq!(
            text(forwarded([].into_iter(), &remote, "a.b:80", "http")),
            "for=\"[2001:db8::1]\";host=\"a.b:80\";proto=http"
        );
        let remote = node("1.2.3.4".parse().ok());
        assert_eq!(
            text(forwarded([&b"for=9.9.9.9"[..]].into_iter(), &remote, "a.b", "http")),
            "for=9.9.9.9, for=1.2.3.4;host=a.b;proto=http"
        );
    }

    #[test]
    fn each_element_names_its_client() {
        let nodes = |text: &'static str| nodes(text.as_bytes()).map(text_of).collect::<Vec<_>>();
        assert_eq!(nodes("for=1.2.3.4"), ["1.2.3.4"]);
        assert_eq!(
            nodes("proto=https;For=\"[2001:db8::1]:80\", for=_x, host=a"),
            ["[2001:db8::1]:80", "_x", "unknown"]
        );
        assert_eq!(nodes("for=\", for=1.2.3.4;proto=http").last().map(String::as_str), Some("1.2.3.4"));
    }

    #[test]
    fn the_first_scheme_is_believed() {
        let scheme = |proto: Option<&str>, forwarded: Option<&str>| {
            believed_scheme(proto.map(str::as_bytes), forwarded.map(str::as_bytes))
        };
        assert_eq!(scheme(Some("https"), None), Some("https"));
        assert_eq!(scheme(Some(" HTTPS , http"), None), Some("https"));
        assert_eq!(scheme(Some("http, https"), Some("proto=https")), Some("http"));
        assert_eq!(scheme(Some("wss"), None), Some("https"));
        assert_eq!(scheme(Some("gopher"), None), None);
        assert_eq!(scheme(None, None), None);
        assert_eq!(scheme(None, Some("for=1.2.3.4;Proto=HTTPS;host=a, for=b;proto=http")), Some("https"));
        assert_eq!(scheme(None, Some("for=\"x;proto=http,\\\";\"; proto=\"https\"")), Some("https"));
        assert_eq!(scheme(None, Some("for=1.2.3.4, proto=https")), None);
        assert_eq!(scheme(None, Some("for")), None);
    }

    #[test]
    fn the_first_host_is_believed_when_it_is_one() {
        let host = |host: Option<&str>, forwarded: Option<&str>| {
            believed_host(host.map(str::as_bytes), forwarded.map(str::as_bytes)).map(str::to_owned)
        };
        assert_eq!(host(Some("pub.example:8443, inner"), None).as_deref(), Some("pub.example:8443"));
        assert_eq!(host(None, Some("for=a;host=\"pub.example:8443\"")).as_deref(), Some("pub.example:8443"));
        for bad in ["", "a b", "u@a", "a/b", "a\"", "\u{e9}"] {
            assert_eq!(host(Some(bad), Some("host=a")), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(field in proptest::collection::vec(any::<u8>(), 0..60)) {
            believed_scheme(None, Some(&field));
            believed_host(Some(&field), None);
            believed_host(None, Some(&field));
        }
    }
}
