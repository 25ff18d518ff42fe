//! The header of the PROXY protocol, version 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::opening::Opening;

/// The longest header of version 1, with its end of line.
const LONGEST_V1: usize = 107;
const SIGNATURE_V1: &[u8] = b"PROXY ";
const SIGNATURE_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2: the signature, the command, the protocol and the length of what follows.
const FIXED_V2: usize = 16;
/// The longest part behind that which is accepted: addresses, and extensions, which are skipped.
const LONGEST_V2: usize = 4096;

/// Whom a connection is from, by its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client at this address.
    Client(SocketAddr),
    /// The peer itself, which says nothing of a client: a health check of a load balancer, or a
    /// client that has no address of TCP.
    Peer,
}

/// Why a connection has no header that could be believed.
#[derive(Debug)]
pub enum NoHeader {
    Malformed(&'static str),
    /// The connection ended before the header did.
    Ended,
    Io(io::Error),
}

impl fmt::Display for NoHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) => f.write_str(reason),
            Self::Ended => f.write_str("the connection ended within the PROXY header"),
            Self::Io(e) => write!(f, "{e}"),
        }
    }
}

/// Takes the header off the front of a connection.
///
/// # Errors
/// When there is no well-formed one.
pub async fn take(opening: &mut Opening) -> Result<Origin, NoHeader> {
    loop {
        if let Some((length, origin)) = parse(opening.arrived()).map_err(NoHeader::Malformed)? {
            opening.take(length);
            return Ok(origin);
        }
        match opening.fill().await {
            Ok(0) => return Err(NoHeader::Ended),
            Ok(_) => {}
            Err(e) => return Err(NoHeader::Io(e)),
        }
    }
}

/// The length of the header that `bytes` begin with; `None` while it is not whole.
pub fn parse(bytes: &[u8]) -> Result<Option<(usize, Origin)>, &'static str> {
    let may_be = |signature: &[u8]| {
        let length = bytes.len().min(signature.len());
        bytes[..length] == signature[..length]
    };
    if may_be(SIGNATURE_V2) {
        return if bytes.len() < FIXED_V2 { Ok(None) } else { parse_v2(bytes) };
    }
    if may_be(SIGNATURE_V1) {
        return parse_v1(bytes);
    }
    Err("there is no PROXY header in front")
}

fn parse_v1(bytes: &[u8]) -> Result<Option<(usize, Origin)>, &'static str> {
    const MALFORMED: &str = "the PROXY header is malformed";
    let within = &bytes[..bytes.len().min(LONGEST_V1)];
    let Some(end) = memchr::memmem::find(within, b"\r\n") else {
        return if within.len() == LONGEST_V1 { Err("the PROXY header has no end") } else { Ok(None) };
    };
    let line = std::str::from_utf8(&within[..end]).map_err(|_| MALFORMED)?;
    let fields: Vec<&str> = line.split(' ').collect();
    let origin = match fields.as_slice() {
        // The sender does not know, and what follows is to be ignored.
        ["PROXY", "UNKNOWN", ..] => Origin::Peer,
        ["PROXY", family, source, destination, source_port, destination_port] => {
            let is_one = |ip: IpAddr| match *family {
                "TCP4" => ip.is_ipv4(),
                "TCP6" => ip.is_ipv6(),
                _ => false,
            };
            let ip = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| is_one(*ip)).ok_or(MALFORMED);
            ip(destination)?;
            port(destination_port).ok_or(MALFORMED)?;
            Origin::Client(SocketAddr::new(ip(source)?, port(source_port).ok_or(MALFORMED)?))
        }
        _ => return Err(MALFORMED),
    };
    Ok(Some((end + 2, origin)))
}

/// Digits alone, and no needless zero.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn parse_v2(bytes: &[u8]) -> Result<Option<(usize, Origin)>, &'static str> {
    let [version_and_command, family, high, low] = [bytes[12], bytes[13], bytes[14], bytes[15]];
    if version_and_command >> 4 != 2 {
        return Err("the version of the PROXY header is not known");
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST_V2 {
        return Err("the PROXY header is longer than 4 KiB");
    }
    let Some(rest) = bytes.get(FIXED_V2..FIXED_V2 + length) else { return Ok(None) };
    let origin = match version_and_command & 0x0f {
        // LOCAL: the peer speaks for itself, whatever the addresses say.
        0 => Origin::Peer,
        1 => address(family, rest)?,
        _ => return Err("the command of the PROXY header is not known"),
    };
    Ok(Some((FIXED_V2 + length, origin)))
}

/// The source of a proxied connection.
fn address(family: u8, addresses: &[u8]) -> Result<Origin, &'static str> {
    const TOO_SHORT: &str = "the PROXY header is too short for its addresses";
    match family {
        // TCP over IPv4: two addresses, two ports.
        0x11 => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] = *addresses.first_chunk::<12>().ok_or(TOO_SHORT)?;
            let ip = Ipv4Addr::new(a, b, c, d);
            Ok(Origin::Client(SocketAddr::new(ip.into(), u16::from_be_bytes([high, low]))))
        }
        // TCP over IPv6.
        0x21 => {
            let addresses = addresses.first_chunk::<36>().ok_or(TOO_SHORT)?;
            let ip: [u8; 16] = *addresses.first_chunk().ok_or(TOO_SHORT)?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            Ok(Origin::Client(SocketAddr::new(Ipv6Addr::from(ip).into(), port)))
        }
        // A stream of unix sockets: two paths of 108 bytes.
        0x31 if addresses.len() < 216 => Err(TOO_SHORT),
        // Not specified, and what no connection of HTTP is: the specification has it be ignored.
        0x00 | 0x31 | 0x12 | 0x22 | 0x32 => Ok(Origin::Peer),
        _ => Err("the address family of the PROXY header is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> Origin {
        Origin::Client(text.parse().unwrap())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE_V2, &[command, family], &length, rest].concat()
    }

    #[test]
    fn version_1() {
        for (line, origin) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", client("192.0.2.1:56324")),
            ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", client("[2001:db8::1]:1")),
            ("PROXY UNKNOWN\r\n", Origin::Peer),
            ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", Origin::Peer),
        ] {
            let request = format!("{line}GET / HTTP/1.1\r\n\r\n");
            assert_eq!(parse(request.as_bytes()), Ok(Some((line.len(), origin))), "{line}");
            for cut in 0..line.len() {
                assert_eq!(parse(&line.as_bytes()[..cut]), Ok(None), "{}", &line[..cut]);
            }
        }
        for line in [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 \r\n",
            "PROXY  TCP4 192.0.2.1 198.51.100.1 56324 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n",
            "PROXY TCP4 192.0.2.1 x 1 443\r\n",
            "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY \u{fc}\r\n",
            "PROXY\r\n",
            "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
        let endless = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat();
        assert_eq!(parse(&endless), Err("the PROXY header has no end"));
    }

    #[test]
    fn version_2() {
        let ipv4 = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];
        let ipv6 = [&[0x20, 1, 0x0d, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0, 80, 1, 0xbb]].concat();
        let extended = [&ipv4[..], &[0x03, 0, 4, 1, 2, 3, 4]].concat();
        for (header, origin) in [
            (v2(0x21, 0x11, &ipv4), client("192.0.2.1:56324")),
            (v2(0x21, 0x11, &extended), client("192.0.2.1:56324")),
            (v2(0x21, 0x21, &ipv6), client("[2001:db8::1]:80")),
            (v2(0x21, 0x31, &[0; 216]), Origin::Peer),
            (v2(0x21, 0x00, &[]), Origin::Peer),
            (v2(0x21, 0x12, &ipv4), Origin::Peer),
            (v2(0x20, 0x00, &[]), Origin::Peer),
            (v2(0x20, 0x11, &ipv4), Origin::Peer),
            (v2(0x21, 0x11, &[&ipv4[..], &[0; 4084]].concat()), client("192.0.2.1:56324")),
        ] {
            let request = [&header[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(parse(&request), Ok(Some((header.len(), origin))), "{header:?}");
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Ok(None), "{cut}");
            }
        }
        for header in [
            v2(0x11, 0x11, &ipv4),
            v2(0x22, 0x11, &ipv4),
            v2(0x21, 0x41, &ipv4),
            v2(0x21, 0x11, &ipv4[..11]),
            v2(0x21, 0x21, &ipv6[..35]),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x11, &[0; 4097]),
        ] {
            assert!(parse(&header).is_err(), "{header:?}");
        }
    }
}
