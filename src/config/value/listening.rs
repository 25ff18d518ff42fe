//! Addresses to listen on: `0.0.0.0:8080`, `:8080`, `[::]:8080`, `unix:/path`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::address::{Address, number, unix};
use super::file::need_folder;
use super::zone;
use crate::config::section::{Form, Reader, Scalar, Shape, Syntax};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

/// An address to listen on, whose socket can be made.
#[derive(Clone, Copy, Debug)]
pub struct ListenAddress;

/// The same for the process itself, which by a port alone means this machine.
#[derive(Clone, Copy, Debug)]
pub struct OwnAddress;

impl Form<Address> for ListenAddress {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Address> {
        let address = LISTENING.read(reader, node)?;
        need_folder_of(reader, node, &address);
        Some(address)
    }

    fn shape(&self) -> Shape {
        LISTENING.shape()
    }

    fn print(&self, address: &Address) -> Yaml {
        LISTENING.print(address)
    }
}

impl Form<Address> for OwnAddress {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Address> {
        let address = LOCAL.read(reader, node)?;
        need_folder_of(reader, node, &address);
        Some(address)
    }

    fn shape(&self) -> Shape {
        LOCAL.shape()
    }

    fn print(&self, address: &Address) -> Yaml {
        LOCAL.print(address)
    }
}

fn need_folder_of(reader: &mut Reader<'_>, node: &Node, address: &Address) {
    if let Address::Unix(path) = address {
        need_folder(reader, node.span, node.text().unwrap_or_default(), path);
    }
}

const LOCAL: Scalar<Address> = Scalar {
    what: "an address such as `127.0.0.1:9180`",
    syntax: Syntax { examples: &["127.0.0.1:9180", "unix:/run/admin.sock"], ..LISTENING.syntax },
    parse: |text| match number(text) {
        Ok(port) => {
            let help = format!("write `127.0.0.1:{port}`");
            Err(Invalid::with_help(format!("`{text}` is not an address to listen on"), help))
        }
        Err(()) => listener(text),
    },
    ..LISTENING
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
    // `::1:80` is an address of IPv6 as well, but nobody means that.
    if let Some((ip, port)) = text.rsplit_once(':').filter(|(ip, _)| ip.contains(':'))
        && let (Ok(ip), Ok(port)) = (ip.parse::<Ipv6Addr>(), number(port))
    {
        return format!("an IPv6 address stands in brackets: write `\"[{ip}]:{port}\"`");
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => return format!("a port is missing, as in `\"[{text}]:8080\"`"),
        Ok(IpAddr::V4(_)) => return format!("a port is missing, as in `\"{text}:8080\"`"),
        Err(_) => {}
    }
    if let Some((_, rest)) = text.split_once("://") {
        return format!("without the scheme: `{rest}`");
    }
    let first = text.split_whitespace().next().unwrap_or_default();
    if text.split_whitespace().skip(1).any(|word| ["ssl", "tls", "http2", "quic"].contains(&word)) {
        return format!(
            "write `{{ address: \"{first}\", tls: {{ certificates: [{{ cert: a.pem, key: a.key }}] }} }}`: the address \
             alone would be plain HTTP"
        );
    }
    if first != text {
        return match listener(first) {
            Ok(_) => format!("write `\"{first}\"`, the address alone"),
            Err(_) => listener_help(first),
        };
    }
    match text.rsplit_once(':') {
        Some((_, port)) if port.starts_with('$') => {
            format!("a variable is written `${{{}}}`", port.trim_start_matches('$'))
        }
        Some(("*", port)) if number(port).is_ok() => {
            format!("write `\":{port}\"` for every IPv4 address, `\"[::]:{port}\"` for IPv6 too")
        }
        Some(("localhost", port)) if number(port).is_ok() => format!("write `127.0.0.1:{port}`"),
        Some((_, port)) if number(port).is_err() => "a port is a number from 0 to 65535".into(),
        Some((_, port)) => format!(
            "a listener has an IP address, not a name: write `\":{port}\"`, and `match: {{ host: … }}` in a route"
        ),
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
        for (text, address) in [("::1:80", "[::1]:80"), (":::80", "[::]:80"), ("2001:db8::1:443", "[2001:db8::1]:443")]
        {
            assert_eq!(
                help(listener(text)),
                format!("an IPv6 address stands in brackets: write `\"{address}\"`"),
                "{text}"
            );
        }
        assert_eq!(help(listener("::1")), "a port is missing, as in `\"[::1]:8080\"`");
        assert_eq!(help(listener("0.0.0.0:80 default_server")), "write `\"0.0.0.0:80\"`, the address alone");
        assert!(help(listener("0.0.0.0:443 ssl")).contains("would be plain HTTP"));
        assert_eq!(help(listener("0.0.0.0:$PORT")), "a variable is written `${PORT}`");
        assert!(help(listener("*:80")).contains("`\":80\"`") && help(listener("a.b:80")).contains("not a name"));
        assert_eq!((LOCAL.parse)("9180").unwrap_err().help.unwrap(), "write `127.0.0.1:9180`");
        for bad in ["", ":", ":+80", ":99999", "unix:x", "http://0.0.0.0:80", "::1:80"] {
            assert!(listener(bad).is_err(), "{bad}");
        }
    }
}
