//! The values of `X-Forwarded-For` and `Forwarded` (RFC 7239) for the next hop.

use std::net::IpAddr;

/// `X-Forwarded-For`: what came from a trusted proxy, then the peer as [`address`] names it.
pub fn forwarded_for<'v>(believed: impl Iterator<Item = &'v [u8]>, peer: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    for field in believed {
        push_element(&mut out, field.trim_ascii());
    }
    push_element(&mut out, peer);
    out
}

/// A peer in `X-Forwarded-For`; a unix socket has no address to tell.
pub fn address(peer: Option<IpAddr>) -> String {
    peer.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string())
}

/// `Forwarded`: what came from a trusted proxy, then this hop, whose peer is [`node`].
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

/// The `for=` parameter that names a peer (RFC 7239 section 6).
pub fn node(peer: Option<IpAddr>) -> String {
    match peer {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    }
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
        let peer = address("3.3.3.3".parse().ok());
        assert_eq!(text(forwarded_for(came.into_iter(), peer.as_bytes())), "1.1.1.1, 2.2.2.2, 3.3.3.3");
        assert_eq!(text(forwarded_for([].into_iter(), address(None).as_bytes())), "unknown");
    }

    #[test]
    fn forwarded_quotes_what_is_no_token() {
        let peer = node("2001:db8::1".parse().ok());
        assert_eq!(
            text(forwarded([].into_iter(), &peer, "a.b:80", "http")),
            "for=\"[2001:db8::1]\";host=\"a.b:80\";proto=http"
        );
        let peer = node("1.2.3.4".parse().ok());
        assert_eq!(
            text(forwarded([&b"for=9.9.9.9"[..]].into_iter(), &peer, "a.b", "http")),
            "for=9.9.9.9, for=1.2.3.4;host=a.b;proto=http"
        );
    }
}
