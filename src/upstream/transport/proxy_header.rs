//! The PROXY protocol's header, which tells a server whose request a connection carries
//! (<https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>).

use std::net::{IpAddr, SocketAddr};

use crate::config::SendProxy;

/// Whom a connection is for. It names one client, so that it carries requests of no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientAddress {
    /// The client's end; port 0 where a proxy in front of us told of the client.
    pub client: SocketAddr,
    /// Our end.
    pub server: SocketAddr,
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version and command of the binary header, and the families of addresses.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The header; nothing where none is sent. Without a client, as in a health check, it says that
/// the connection is the proxy's own.
pub fn header(version: SendProxy, client: Option<ClientAddress>) -> Vec<u8> {
    let ends = client.map(same_family);
    match version {
        SendProxy::Off => Vec::new(),
        SendProxy::V1 => line(ends),
        SendProxy::V2 => binary(ends),
    }
}

fn line(ends: Option<ClientAddress>) -> Vec<u8> {
    let Some(ClientAddress { client, server }) = ends else { return b"PROXY UNKNOWN\r\n".to_vec() };
    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {} {} {} {}\r\n", client.ip(), server.ip(), client.port(), server.port()).into_bytes()
}

fn binary(ends: Option<ClientAddress>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(ClientAddress { client, server }) = ends else {
        header.extend_from_slice(&[LOCAL, 0, 0, 0]);
        return header;
    };
    match (client.ip(), server.ip()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            header.extend_from_slice(&[PROXY, TCP4, 0, 12]);
            header.extend_from_slice(&client.octets());
            header.extend_from_slice(&server.octets());
        }
        (client, server) => {
            header.extend_from_slice(&[PROXY, TCP6, 0, 36]);
            header.extend_from_slice(&octets(client));
            header.extend_from_slice(&octets(server));
        }
    }
    header.extend_from_slice(&client.port().to_be_bytes());
    header.extend_from_slice(&server.port().to_be_bytes());
    header
}

/// Both ends are of one family in either version.
fn same_family(ends: ClientAddress) -> ClientAddress {
    let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let ends = ClientAddress { client: canonical(ends.client), server: canonical(ends.server) };
    if ends.client.is_ipv4() == ends.server.is_ipv4() {
        return ends;
    }
    let mapped = |end: SocketAddr| SocketAddr::new(octets(end.ip()).into(), end.port());
    ClientAddress { client: mapped(ends.client), server: mapped(ends.server) }
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, server: &str) -> Option<ClientAddress> {
        Some(ClientAddress { client: client.parse().unwrap(), server: server.parse().unwrap() })
    }

    #[test]
    fn the_line_names_both_ends() {
        for (ends, expected) in [
            (ends("1.2.3.4:5", "6.7.8.9:80"), "PROXY TCP4 1.2.3.4 6.7.8.9 5 80\r\n"),
            (ends("[::ffff:1.2.3.4]:5", "[::ffff:6.7.8.9]:80"), "PROXY TCP4 1.2.3.4 6.7.8.9 5 80\r\n"),
            (ends("[2001:db8::1]:5", "[::1]:80"), "PROXY TCP6 2001:db8::1 ::1 5 80\r\n"),
            (ends("1.2.3.4:0", "[::1]:80"), "PROXY TCP6 ::ffff:1.2.3.4 ::1 0 80\r\n"),
            (None, "PROXY UNKNOWN\r\n"),
        ] {
            assert_eq!(String::from_utf8(header(SendProxy::V1, ends)).unwrap(), expected);
        }
    }

    #[test]
    fn the_binary_header_names_both_ends() {
        let v4 = [&SIGNATURE[..], &[0x21, 0x11, 0, 12, 1, 2, 3, 4, 6, 7, 8, 9, 1, 0, 0, 80]].concat();
        assert_eq!(header(SendProxy::V2, ends("1.2.3.4:256", "6.7.8.9:80")), v4);
        let v6 = header(SendProxy::V2, ends("[::1]:5", "[::2]:80"));
        assert_eq!((v6.len(), &v6[12..16], v6[31], v6[47]), (52, &[0x21, 0x21, 0, 36][..], 1, 2));
        assert_eq!(header(SendProxy::V2, None), [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat());
        assert!(header(SendProxy::Off, None).is_empty());
    }
}
