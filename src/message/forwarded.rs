//! The values of `X-Forwarded-For` and `Forwarded` (RFC 7239) for the next hop.

use std::fmt::Write as _;
use std::net::IpAddr;

/// `X-Forwarded-For`: what came from a trusted proxy, then the peer.
pub fn forwarded_for<'v>(believed: impl Iterator<Item = &'v [u8]>, peer: Option<IpAddr>) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    for field in believed {
        push_element(&mut out, field.trim_ascii());
    }
    match peer {
        Some(ip) => push_element(&mut out, ip.to_string().as_bytes()),
        // A unix socket has no address to tell.
        None => push_element(&mut out, b"unknown"),
    }
    out
}

/// `Forwarded`: what came from a trusted proxy, then this hop.
pub fn forwarded<'v>(
    believed: impl Iterator<Item = &'v [u8]>,
    peer: Option<IpAddr>,
    host: &str,
    proto: &str,
) -> Vec<u8> {
    let mut element = String::with_capacity(64);
    // Writing to a String cannot fail.
    match peer {
        Some(IpAddr::V4(ip)) => write!(element, "for={ip}").unwrap_or_default(),
        Some(IpAddr::V6(ip)) => write!(element, "for=\"[{ip}]\"").unwrap_or_default(),
        None => element.push_str("for=unknown"),
    }
    if !host.is_empty() {
        // A host holds no quote or backslash (message::host), so it needs no escape.
        let quote = if host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b)) { "" } else { "\"" };
        write!(element, ";host={quote}{host}{quote}").unwrap_or_default();
    }
    write!(element, ";proto={proto}").unwrap_or_default();
    let mut out = Vec::with_capacity(element.len());
    for field in believed {
        push_element(&mut out, field.trim_ascii());
    }
    push_element(&mut out, element.as_bytes());
    out
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

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hops_are_appended() {
        let came: [&[u8]; 2] = [b"1.1.1.1", b" 2.2.2.2 "];
        let peer = "3.3.3.3".parse().ok();
        assert_eq!(text(forwarded_for(came.into_iter(), peer)), "1.1.1.1, 2.2.2.2, 3.3.3.3");
        assert_eq!(text(forwarded_for([].into_iter(), None)), "unknown");
    }

    #[test]
    fn forwarded_quotes_what_is_no_token() {
        let peer = "2001:db8::1".parse().ok();
        assert_eq!(
            text(forwarded([].into_iter(), peer, "a.b:80", "http")),
            "for=\"[2001:db8::1]\";host=\"a.b:80\";proto=http"
        );
        let peer = "1.2.3.4".parse().ok();
        assert_eq!(
            text(forwarded([&b"for=9.9.9.9"[..]].into_iter(), peer, "a.b", "http")),
            "for=9.9.9.9, for=1.2.3.4;host=a.b;proto=http"
        );
    }
}
