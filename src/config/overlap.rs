//! Which addresses cannot be listened on side by side: the kernel would refuse the second
//! one at start-up.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use super::listener::Listener;
use super::server::{OwnFilePlace, Server};
use super::value::Address;

/// Whether the socket of `address` is for IPv6 alone. `[::]` takes IPv4 as well, unless a
/// listener takes all IPv4 addresses of its port.
pub fn is_ipv6_only(address: &Address, listeners: &[Listener]) -> bool {
    let Address::Tcp(address) = address else { return false };
    let takes_ipv4 = |listener: &Listener| match listener.address {
        Address::Tcp(other) => ip(other).is_ipv4() && ip(other).is_unspecified() && other.port() == address.port(),
        Address::Unix(_) => false,
    };
    ip(*address).is_ipv6() && ip(*address).is_unspecified() && listeners.iter().any(takes_ipv4)
}

/// Why `later` cannot be listened on beside `earlier`.
pub fn conflict(later: &Address, earlier: &Address, listeners: &[Listener]) -> Option<String> {
    let same = || Some(format!("`{later}` is the same place as `{earlier}`"));
    match (later, earlier) {
        (Address::Unix(one), Address::Unix(other)) => (real_path(one) == real_path(other)).then(same)?,
        (Address::Tcp(one), Address::Tcp(other)) if one.port() == other.port() && one.port() != 0 => {
            if is_part(*one, *other, listeners) && is_part(*other, *one, listeners) {
                same()
            } else if is_part(*one, *other, listeners) {
                Some(part(later, earlier, ip(*other), listeners))
            } else if is_part(*other, *one, listeners) {
                Some(part(earlier, later, ip(*one), listeners))
            } else {
                None
            }
        }
        (Address::Tcp(_) | Address::Unix(_), Address::Tcp(_) | Address::Unix(_)) => None,
    }
}

/// The key of a file of the process's own that stands where `address` does.
pub fn own_file(address: &Address, server: &Server) -> Option<&'static str> {
    let Address::Unix(path) = address else { return None };
    let files = [("server.upgrade_sock", &server.upgrade_sock), ("server.pid_file", &server.pid_file)];
    files.into_iter().find_map(|(key, place)| match place {
        OwnFilePlace::At(own) => (real_path(own) == real_path(path)).then_some(key),
        OwnFilePlace::Auto | OwnFilePlace::Off => None,
    })
}

/// Whether who connects to `one` could reach a listener of `all`, which has its port.
fn is_part(one: SocketAddr, all: SocketAddr, listeners: &[Listener]) -> bool {
    let (part, whole) = (ip(one), ip(all));
    if !whole.is_unspecified() {
        // A link-local address stands for another place in each zone.
        let zone = |address| if let SocketAddr::V6(v6) = address { v6.scope_id() } else { 0 };
        return part == whole && zone(one) == zone(all);
    }
    part.is_ipv4() == whole.is_ipv4()
        || part.is_ipv4() && whole.is_ipv6() && !is_ipv6_only(&Address::Tcp(all), listeners)
}

fn part(part: &Address, whole: &Address, whole_ip: IpAddr, listeners: &[Listener]) -> String {
    let of = match whole_ip {
        IpAddr::V4(_) => "every IPv4 address",
        IpAddr::V6(_) if is_ipv6_only(whole, listeners) => "every IPv6 address",
        IpAddr::V6(_) => "every address of IPv6 and IPv4",
    };
    format!("`{part}` is part of `{whole}`, which listens on {of}")
}

/// An IPv4 address that is written as one of IPv6 is one of IPv4 to the kernel.
fn ip(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// The path without `.`, `..` and symlinks in its folders.
fn real_path(path: &Path) -> PathBuf {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        (None, _) | (_, None) => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conflicts(first: &str, second: &str) -> Option<String> {
        let listeners = [first, second].map(|text| {
            let address = match text.strip_prefix("unix:") {
                Some(path) => Address::Unix(path.into()),
                None => Address::Tcp(text.parse().unwrap()),
            };
            Listener::at(address)
        });
        conflict(&listeners[1].address, &listeners[0].address, &listeners)
    }

    #[test]
    fn whatever_the_kernel_refuses_is_a_conflict() {
        let cases = [
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "0.0.0.0:80", true),
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("[::ffff:127.0.0.1]:80", "0.0.0.0:80", true),
            ("[::]:80", "[::ffff:127.0.0.1]:80", true),
            ("[fe80::1%1]:80", "[fe80::1%1]:80", true),
            ("unix:/tmp/x", "unix:/tmp/../tmp/./x", true),
            ("0.0.0.0:80", "[::]:80", false),
            ("[::]:80", "0.0.0.0:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("127.0.0.1:80", "[::1]:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("0.0.0.0:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "0.0.0.0:0", false),
            ("[fe80::1%1]:80", "[fe80::1%2]:80", false),
            ("unix:/tmp/x", "unix:/tmp/y", false),
        ];
        for (first, second, refused) in cases {
            assert_eq!(conflicts(first, second).is_some(), refused, "{first} {second}");
        }
        let reason = conflicts("0.0.0.0:80", "127.0.0.1:80").unwrap();
        assert_eq!(reason, "`127.0.0.1:80` is part of `0.0.0.0:80`, which listens on every IPv4 address");
        let reason = conflicts("127.0.0.1:80", "[::]:80").unwrap();
        assert_eq!(reason, "`127.0.0.1:80` is part of `[::]:80`, which listens on every address of IPv6 and IPv4");
    }
}
