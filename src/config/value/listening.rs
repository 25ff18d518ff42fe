//! Addresses to listen on: `0.0.0.0:8080`, `:8080`, `[::]:8080`, `unix:/path`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::address::{Address, number, unix};
use super::file::need_folder;
use super::zone;
use crate::config::section::{Form, Reader, Scalar, Shape, Syntax};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

/// An address to listen on, whose socket can be made.
#[derive(Clone, Copy, Debug)]
pub struct ListenAddress;

impl Form<Address> for ListenAddress {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Address> {
        let address = LISTENING.read(reader, node)?;
        if let Address::Unix(path) = &address {
            need_folder(reader, node.span, node.text().unwrap_or_default(), path);
        }
        Some(address)
    }

    fn shape(&self) -> Shape {
        LISTENING.shape()
    }

    fn print(&self, address: &Address) -> Yaml {
        LISTENING.print(address)
    }
}

/// The same, where only this machine can connect.
pub const LOOPBACK: Syntax = Syntax {
    pattern: Some(concat!(r"^((127[.][0-9.]+|\[::1\]):", pattern!(port), "|", pattern!(unix), ")$")),
    examples: &["127.0.0.1:9180", "unix:/run/admin.sock"],
    ..LISTENING.syntax
};

const LISTENING: Scalar<Address> = Scalar {
    what: "an address such as `0.0.0.0:8080`",
    syntax: Syntax {
        kind: "address",
        numbers: false,
        pattern: Some(concat!(
            "^((",
            pattern!(ipv4),
            "|",
            pattern!(zoned_ipv6),
            ")?:",
            pattern!(port),
            "|",
            pattern!(unix),
            ")$"
        )),
        examples: &["0.0.0.0:8080", ":8080", "[::]:8080", "unix:/run/x.sock"],
    },
    parse: listener,
    print: |address| match address {
        Address::Tcp(address) => Yaml::text(zone::written(address)),
        Address::Unix(_) => Yaml::text(address),
    },
};

/// `:8080` listens on every IPv4 address.
fn listener(text: &str) -> Parsed<Address> {
    if let Some(unix) = unix(text) {
        return unix;
    }
    if let Some(address) = zone::socket_address(text) {
        return address.map(Address::Tcp);
    }
    if let Some(port) = text.strip_prefix(':')
        && let Ok(port) = number(port)
    {
        return Ok(Address::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)));
    }
    let message = format!("`{text}` is not an address to listen on");
    Err(Invalid::with_help(message, listener_help(text)))
}

fn listener_help(text: &str) -> String {
    if number(text).is_ok() {
        return format!("write `\":{text}\"` or `0.0.0.0:{text}`");
    }
    if text.parse::<IpAddr>().is_ok() {
        return "a port is missing, as in `0.0.0.0:8080` or `[::]:8080`".into();
    }
    if let Some((_, rest)) = text.split_once("://") {
        return format!("without the scheme: `{rest}`");
    }
    match text.rsplit_once(':') {
        Some(("localhost", port)) if number(port).is_ok() => format!("write `127.0.0.1:{port}`"),
        Some((_, port)) if number(port).is_err() => "a port is a number from 0 to 65535".into(),
        Some(_) => "a listener needs an IP address, as in `0.0.0.0:8080` or `[::]:8080`".into(),
        None => "write it as `0.0.0.0:8080`, `[::]:8080` or `unix:/run/x.sock`".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(r: Parsed<Address>) -> String {
        r.unwrap_err().help.unwrap()
    }

    #[test]
    fn listeners() {
        assert_eq!(listener(":8080").unwrap().to_string(), "0.0.0.0:8080");
        assert_eq!(listener("[::]:8443").unwrap().to_string(), "[::]:8443");
        let zoned = (LISTENING.print)(&listener("[fe80::1%lo]:80").unwrap());
        assert!(zoned.document().contains("[fe80::1%lo]:80"), "{}", zoned.document());
        assert_eq!(listener("unix:/run/x").unwrap().to_string(), "unix:/run/x");
        assert!(help(listener("8080")).contains("0.0.0.0:8080"));
        assert_eq!(help(listener("localhost:80")), "write `127.0.0.1:80`");
        assert!(help(listener("0.0.0.0")).contains("port is missing"));
        for bad in ["", ":", ":+80", ":99999", "unix:x", "http://0.0.0.0:80", "::1:80"] {
            assert!(listener(bad).is_err(), "{bad}");
        }
    }
}
