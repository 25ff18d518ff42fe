//! Zones of link-local IPv6 addresses (RFC 4007 section 11): `[fe80::1%eth0]:80`. The interface
//! is named, or given by its number.

use std::net::{SocketAddr, SocketAddrV6};

use nix::net::if_::{if_indextoname, if_nametoindex};

use crate::config::yaml::{Invalid, Parsed};

/// `IP:port`; `None` where the text has another form.
pub fn socket_address(text: &str) -> Option<Parsed<SocketAddr>> {
    let Some((ip, zone, port)) = split(text) else {
        return text.parse().ok().map(|address| match address {
            SocketAddr::V6(v6) if v6.ip().is_unicast_link_local() => Err(without_zone(&v6)),
            SocketAddr::V4(_) | SocketAddr::V6(_) => Ok(address),
        });
    };
    let mut address: SocketAddrV6 = format!("{ip}{port}").parse().ok()?;
    if !address.ip().is_unicast_link_local() {
        let message = format!("`{}` has no zone: only link-local addresses (fe80::/10) have one", address.ip());
        return Some(Err(Invalid::with_help(message, format!("write `{address}`"))));
    }
    Some(interface(zone).map(|index| {
        address.set_scope_id(index);
        address.into()
    }))
}

/// The address with the name of its interface, as it is written.
pub fn written(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => {
            let zone = name_of(v6.scope_id()).unwrap_or_else(|| v6.scope_id().to_string());
            format!("[{}%{zone}]:{}", v6.ip(), v6.port())
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => address.to_string(),
    }
}

/// `[ip`, the zone and `]:port` of an address with a zone.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let (ip, rest) = text.split_once('%').filter(|(ip, _)| ip.starts_with('['))?;
    let end = rest.find(']')?;
    Some((ip, rest.get(..end)?, rest.get(end..)?))
}

fn without_zone(address: &SocketAddrV6) -> Invalid {
    let (ip, port) = (address.ip(), address.port());
    let message = format!("`{ip}` is a link-local address, which each interface has its own of");
    Invalid::with_help(message, format!("name the interface, as in `[{ip}%eth0]:{port}`"))
}

fn interface(zone: &str) -> Parsed<u32> {
    let unknown = || Invalid::new(format!("this machine has no network interface `{zone}`"));
    if zone.bytes().all(|b| b.is_ascii_digit()) {
        return zone.parse().ok().filter(|index| name_of(*index).is_some()).ok_or_else(unknown);
    }
    if_nametoindex(zone).map_err(|_| unknown())
}

fn name_of(index: u32) -> Option<String> {
    let name = if_indextoname(index).ok()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Result<String, String>> {
        socket_address(text).map(|read| read.map(|address| written(&address)).map_err(|e| e.message.unwrap()))
    }

    #[test]
    fn an_interface_is_named_or_numbered() {
        let index = if_nametoindex("lo").unwrap();
        let address = socket_address("[fe80::1%lo]:80").unwrap().unwrap();
        assert_eq!(address, SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 0, index).into());
        assert_eq!(read("[fe80::1%lo]:80"), Some(Ok("[fe80::1%lo]:80".into())));
        assert_eq!(read(&format!("[fe80::1%{index}]:80")), Some(Ok("[fe80::1%lo]:80".into())));
        assert_eq!(read("[::1]:80"), Some(Ok("[::1]:80".into())));
        assert_eq!(read("10.0.0.1:80"), Some(Ok("10.0.0.1:80".into())));
    }

    #[test]
    fn a_zone_stands_where_there_is_one() {
        let reason = |text| read(text).unwrap().unwrap_err();
        assert!(reason("[fe80::1]:80").contains("link-local"));
        assert!(reason("[febf::1]:80").contains("link-local"));
        assert_eq!(reason("[fe80::1%no-such]:80"), "this machine has no network interface `no-such`");
        assert!(reason("[fe80::1%4000000]:80").contains("no network interface `4000000`"));
        assert!(reason("[fe80::1%0]:80").contains("no network interface `0`"));
        assert!(reason("[fe80::1%]:80").contains("no network interface ``"));
        assert!(reason("[::1%lo]:80").contains("has no zone"));
        for other in ["fe80::1%lo", "[fe80::1%lo]", "[fe80::1%lo]:", "[x%lo]:80", "name%lo:80", "10.0.0.1%lo:80", "[%"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
