//! Who the client is: the address of the connection's other end, or the one that a trusted
//! proxy names in `X-Forwarded-For` or `Forwarded`.

use std::net::IpAddr;

use ipnet::IpNet;

/// The IPv4 address in an IPv6 one that maps it (RFC 4291 section 2.5.5.2), as it comes from
/// an IPv6 socket.
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Whether the address is in one of the networks.
pub fn is_in(ip: IpAddr, networks: &[IpNet]) -> bool {
    let ip = canonical(ip);
    networks.iter().any(|n| n.contains(&ip))
}

/// Walks `X-Forwarded-For` from its right end past the trusted proxies; the first address
/// that is not one of them is the client. At an element that is no address the walk ends
/// with the address before it: anybody may have written what is left of it.
pub fn from_forwarded_for<'v>(
    remote: IpAddr,
    fields: impl DoubleEndedIterator<Item = &'v [u8]>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut client = remote;
    for field in fields.rev() {
        for element in field.rsplit(|b| *b == b',') {
            let Some(ip) = parse_address(element) else {
                return client;
            };
            client = ip;
            if !is_in(ip, trusted) {
                return client;
            }
        }
    }
    client
}

/// Reads `1.2.3.4`, `1.2.3.4:80`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:80`.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
        .map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(remote: &str, fields: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        from_forwarded_for(remote.parse().unwrap(), fields.iter().map(|f| f.as_bytes()), &trusted).to_string()
    }

    #[test]
    fn the_first_untrusted_from_the_right_is_the_client() {
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "1.2.3.4:99"]), "1.2.3.4");
        assert_eq!(client("10.0.0.1", &["[2001:db8::1]:5"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["10.0.0.7"]), "10.0.0.7");
        assert_eq!(client("10.0.0.1", &["1.2.3.4, unknown"]), "10.0.0.1");
    }

    #[test]
    fn mapped_addresses_are_in_ipv4_networks() {
        assert!(is_in("::ffff:10.1.1.1".parse().unwrap(), &["10.0.0.0/8".parse().unwrap()]));
    }
}
