//! The order in which the addresses of one name are tried: that of RFC 6724 section 6, with
//! the two families taking turns (RFC 8305 section 4).

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The addresses of one name in the order in which they are tried; equal ones stay as they are.
pub fn in_order(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if found.len() > 1 {
        found.sort_by_cached_key(|address| rank(address.ip(), source_for(*address)));
    }
    take_turns(found)
}

/// The local address from which this machine would connect; `None` where it has no route. No
/// packet is sent: UDP knows no connections.
fn source_for(destination: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if destination.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(destination).ok()?;
    socket.local_addr().ok().map(|source| source.ip())
}

/// Rules 1, 2, 6 and 8 of RFC 6724 section 6, the least first. The others ask for what a
/// program is not told, or would have one of several equal servers get everything.
fn rank(destination: IpAddr, source: Option<IpAddr>) -> (bool, bool, Reverse<u8>, u8) {
    let scope_differs = source.is_none_or(|source| scope(source) != scope(destination));
    (source.is_none(), scope_differs, Reverse(precedence(destination)), scope(destination))
}

/// The table of RFC 6724 section 2.1.
fn precedence(ip: IpAddr) -> u8 {
    let IpAddr::V6(ip) = ip else { return 35 };
    match ip.segments() {
        _ if ip == Ipv6Addr::LOCALHOST => 50,
        [0, 0, 0, 0, 0, 0xffff, ..] => 35,
        [0, 0, 0, 0, 0, 0, ..] | [0xfec0..=0xfeff | 0x3ffe, ..] => 1,
        [0x2002, ..] => 30,
        [0x2001, 0, ..] => 5,
        [0xfc00..=0xfdff, ..] => 3,
        _ => 40,
    }
}

/// RFC 6724 sections 3.1 and 3.2, as a multicast scope: 2 is the link, 5 the site, 14 the world.
fn scope(ip: IpAddr) -> u8 {
    match ip {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_link_local() => 2,
        IpAddr::V6(ip) if ip.is_loopback() || ip.is_unicast_link_local() => 2,
        IpAddr::V6(ip) if matches!(ip.segments(), [0xfec0..=0xfeff, ..]) => 5,
        IpAddr::V4(_) | IpAddr::V6(_) => 14,
    }
}

/// The first family first, then one of each.
fn take_turns(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let count = found.len();
    let first_is_v4 = found.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::with_capacity(count);
    while turns.len() < count {
        turns.extend(first.next().into_iter().chain(second.next()));
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(ips: &[&str]) -> Vec<SocketAddr> {
        ips.iter().map(|ip| (ip.parse::<IpAddr>().unwrap(), 80).into()).collect()
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"]);
        let wanted = ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"];
        assert_eq!(take_turns(found), addresses(&wanted));
        assert_eq!(take_turns(addresses(&["192.0.2.1", "192.0.2.2"])), addresses(&["192.0.2.1", "192.0.2.2"]));
        assert!(take_turns(Vec::new()).is_empty());
    }

    #[test]
    fn an_address_without_a_route_comes_last_and_ipv6_before_ipv4() {
        let source = |ip: &str| Some(ip.parse::<IpAddr>().unwrap());
        let ranked = |ip: &str, from| rank(ip.parse().unwrap(), from);
        let v6 = ranked("2001:db8::1", source("2001:db8::9"));
        let v4 = ranked("192.0.2.1", source("192.0.2.9"));
        assert!(v6 < v4 && v4 < ranked("2001:db8::1", None));
        // An address of the world from one that only the link knows is of little use.
        assert!(v4 < ranked("2001:db8::1", source("fe80::1")));
        assert!(v4 < ranked("fd00::1", source("fd00::2")));
        assert!(ranked("::1", source("::1")) < ranked("127.0.0.1", source("127.0.0.1")));
    }

    #[test]
    fn equal_addresses_stay_as_they_are() {
        let found = addresses(&["127.0.0.3", "127.0.0.1", "127.0.0.2"]);
        assert_eq!(in_order(found.clone()), found);
    }
}
