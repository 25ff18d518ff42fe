//! Who the client is: the address of the connection's other end, or the one that a trusted
//! proxy names in `X-Forwarded-For` or `Forwarded`. Where that names nobody by an address, there is none.

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

/// What a list of forwarding says of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    /// The first address from the right that is of no trusted proxy.
    Client(IpAddr),
    /// All of them are; the one on the left began it.
    Proxy(IpAddr),
    /// A trusted proxy had the request from somebody whom it does not name by an address.
    Nobody,
}

/// The client of a request that came from the trusted proxy `remote`; `None` where its address is not
/// known. `X-Forwarded-For` is believed, or else `Forwarded`, whose nodes are given
/// (`forwarded::nodes`). The two may differ: one proxy of a chain writes both, another the first alone.
pub fn of_trusted<'v>(
    remote: IpAddr,
    x_forwarded_for: impl DoubleEndedIterator<Item = &'v [u8]>,
    forwarded: impl DoubleEndedIterator<Item = &'v [u8]>,
    trusted: &[IpNet],
) -> Option<IpAddr> {
    let elements = x_forwarded_for.flat_map(|field| field.split(|b| *b == b','));
    let said = match walk(elements, trusted) {
        Said::Nothing => walk(forwarded, trusted),
        said => said,
    };
    match said {
        Said::Nothing => Some(remote),
        Said::Client(ip) | Said::Proxy(ip) => Some(ip),
        Said::Nobody => None,
    }
}

/// Walks a list from its right end past the trusted proxies. At an element that is no address the walk
/// ends: `unknown`, an obfuscated identifier (RFC 7239 section 6) or an address with a zone names nobody
/// here, and anybody may have written what is left of it. Empty elements do not count (RFC 9110 section
/// 5.6.1.2).
fn walk<'v>(elements: impl DoubleEndedIterator<Item = &'v [u8]>, trusted: &[IpNet]) -> Said {
    let mut said = Said::Nothing;
    for element in elements.rev().filter(|element| !element.trim_ascii().is_empty()) {
        match parse_address(element) {
            None => return Said::Nobody,
            Some(ip) if is_in(ip, trusted) => said = Said::Proxy(ip),
            Some(ip) => return Said::Client(ip),
        }
    }
    said
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

    /// Of a request from 10.0.0.1.
    fn client(x_forwarded_for: &[&str], forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let bytes = |fields: &[&'static str]| fields.iter().map(|field| field.as_bytes()).collect::<Vec<_>>();
        let leaked = |fields: &[&str]| fields.iter().map(|field| &*field.to_string().leak()).collect::<Vec<_>>();
        let nodes: Vec<_> = bytes(&leaked(forwarded)).into_iter().flat_map(crate::message::forwarded::nodes).collect();
        let fields = bytes(&leaked(x_forwarded_for)).into_iter();
        let client = of_trusted("10.0.0.1".parse().unwrap(), fields, nodes.into_iter(), &trusted);
        client.map_or_else(|| "nobody".to_owned(), |ip| ip.to_string())
    }

    #[test]
    fn the_first_untrusted_from_the_right_is_the_client() {
        assert_eq!(client(&["6.6.6.6, 1.2.3.4, 10.9.9.9"], &[]), "1.2.3.4");
        assert_eq!(client(&["6.6.6.6", "1.2.3.4:99"], &[]), "1.2.3.4");
        assert_eq!(client(&["[2001:db8::1]:5"], &[]), "2001:db8::1");
        assert_eq!(client(&["10.0.0.7"], &[]), "10.0.0.7");
        assert_eq!(client(&["1.2.3.4,, "], &[]), "1.2.3.4");
        for nothing in [&[][..], &[""], &[" , "]] {
            assert_eq!(client(nothing, nothing), "10.0.0.1");
        }
        assert_eq!(client(&[], &["for=6.6.6.6, for=\"[2001:db8::1]:5\", for=10.0.0.2"]), "2001:db8::1");
    }

    /// It is not the proxy's own address, which may be let in where the client is not.
    #[test]
    fn whom_a_proxy_does_not_name_has_no_address() {
        for nobody in ["unknown", "1.2.3.4, unknown", "_gazonk, 10.0.0.7", "fe80::1%eth0", "1.2.3.4%eth0", "x"] {
            assert_eq!(client(&[nobody], &[]), "nobody", "{nobody}");
        }
        for nobody in ["for=unknown", "for=_gazonk", "proto=https", "for=1.2.3.4, for=\"_x\", for=10.0.0.7", "for"] {
            assert_eq!(client(&[], &[nobody]), "nobody", "{nobody}");
        }
    }

    #[test]
    fn the_first_field_is_believed_before_the_second() {
        for (first, second, believed) in [
            ("1.2.3.4", "for=6.6.6.6", "1.2.3.4"),
            ("10.0.0.7", "for=6.6.6.6", "10.0.0.7"),
            ("unknown", "for=6.6.6.6", "nobody"),
            ("1.2.3.4", "for=_hidden", "1.2.3.4"),
            (" , ", "for=6.6.6.6", "6.6.6.6"),
        ] {
            assert_eq!(client(&[first], &[second]), believed);
        }
    }

    #[test]
    fn mapped_addresses_are_in_ipv4_networks() {
        assert!(is_in("::ffff:10.1.1.1".parse().unwrap(), &["10.0.0.0/8".parse().unwrap()]));
    }
}
