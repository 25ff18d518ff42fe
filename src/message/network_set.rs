//! Many networks, of which one question is asked: whether an address is in one of them.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::client::canonical;

/// Disjoint ranges of addresses in ascending order: a look-up is a binary search.
#[derive(Debug, Default)]
pub struct NetworkSet {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl NetworkSet {
    pub fn new(networks: &[IpNet]) -> Self {
        let v4: Vec<Ipv4Net> = networks.iter().filter_map(|network| v4(*network)).collect();
        let v6: Vec<Ipv6Net> = networks.iter().filter_map(|network| v6(*network)).collect();
        // Networks that are inside others, or beside each other, become one.
        let v4 = Ipv4Net::aggregate(&v4).into_iter().map(|n| (n.network().to_bits(), n.broadcast().to_bits()));
        let v6 = Ipv6Net::aggregate(&v6).into_iter().map(|n| (n.network().to_bits(), n.broadcast().to_bits()));
        let mut set = Self { v4: v4.collect(), v6: v6.collect() };
        set.v4.sort_unstable();
        set.v6.sort_unstable();
        set
    }

    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// An IPv4 address in an IPv6 one that maps it is the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match canonical(ip) {
            IpAddr::V4(ip) => is_in(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => is_in(&self.v6, ip.to_bits()),
        }
    }
}

fn v4(network: IpNet) -> Option<Ipv4Net> {
    if let IpNet::V4(network) = network { Some(network) } else { None }
}

fn v6(network: IpNet) -> Option<Ipv6Net> {
    if let IpNet::V6(network) = network { Some(network) } else { None }
}

fn is_in<B: Copy + Ord>(ranges: &[(B, B)], address: B) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= address);
    behind.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::client;

    fn set(networks: &[&str]) -> NetworkSet {
        NetworkSet::new(&networks.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_ends_of_a_network_are_in_it_and_their_neighbours_are_not() {
        let set = set(&["10.1.0.0/16", "2001:db8::/32", "192.0.2.7/32", "0.0.0.0/32", "255.255.255.255/32"]);
        for inside in ["10.1.0.0", "10.1.255.255", "2001:db8::", "192.0.2.7", "0.0.0.0", "255.255.255.255"] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in ["10.0.255.255", "10.2.0.0", "2001:db9::", "2001:db7:ffff::", "192.0.2.6", "192.0.2.8", "::"] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
        assert!(set.contains(ip("::ffff:10.1.2.3")) && !set.contains(ip("::ffff:10.2.2.3")));
        assert!(NetworkSet::default().is_empty() && !NetworkSet::default().contains(ip("10.1.0.0")));
    }

    #[test]
    fn one_network_for_all_takes_all_of_its_kind() {
        let set = set(&["0.0.0.0/0", "10.0.0.0/8"]);
        assert!(set.contains(ip("255.255.255.255")) && !set.contains(ip("::1")));
        assert_eq!(set.v4.len(), 1);
    }

    #[test]
    fn ten_thousand_networks_answer_as_a_list_of_them_does() {
        let mut number = 1_u32;
        let mut next = || {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            number
        };
        let network =
            |(bits, length): (u32, u8)| IpNet::new(std::net::Ipv4Addr::from_bits(bits).into(), length).unwrap();
        let networks: Vec<IpNet> =
            (0..10_000).map(|_| network((next(), u8::try_from(12 + next() % 21).unwrap())).trunc()).collect();
        let set = NetworkSet::new(&networks);
        let (mut inside, mut outside) = (0, 0);
        for turn in 0..2_000 {
            // Every second one is next to the end of a network.
            let near = u32::from_be_bytes(match networks[turn * 5].broadcast() {
                IpAddr::V4(ip) => ip.octets(),
                IpAddr::V6(_) => unreachable!(),
            });
            let bits = if turn % 2 == 0 { near.wrapping_add(next() % 3).wrapping_sub(1) } else { next() };
            let ip = IpAddr::from(std::net::Ipv4Addr::from_bits(bits));
            assert_eq!(set.contains(ip), client::is_in(ip, &networks), "{ip}");
            *(if set.contains(ip) { &mut inside } else { &mut outside }) += 1;
        }
        assert!(inside > 200 && outside > 200, "{inside} {outside}");
    }
}
