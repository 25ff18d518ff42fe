//! Networks of clients: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::section::{Form, Reader, Scalar, Shape, Syntax};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

/// A network, with a warning where it is written as an address in it.
#[derive(Clone, Copy, Debug)]
pub struct Networks;

impl Networks {
    pub const WHAT: &str = NETWORK.what;
}

impl Form<IpNet> for Networks {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<IpNet> {
        let network = NETWORK.read(reader, node)?;
        let written = node.text().and_then(|text| text.parse::<IpNet>().ok());
        if let Some(written) = written.filter(|written| written.addr() != network.addr()) {
            let help = format!("write `{network}`, or `{}` for the one address", written.addr());
            reader.warn(node.span, format!("`{written}` is all of `{network}`"), Some(help));
        }
        Some(network)
    }

    fn shape(&self) -> Shape {
        NETWORK.shape()
    }

    fn print(&self, network: &IpNet) -> Yaml {
        NETWORK.print(network)
    }
}

const NETWORK: Scalar<IpNet> = Scalar {
    what: "a network such as `10.0.0.0/8`",
    syntax: Syntax {
        kind: "network",
        numbers: false,
        pattern: Some(concat!(
            "^(",
            pattern!(ipv4),
            "(/(3[0-2]|[12]?[0-9]))?|",
            "[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))?)$"
        )),
        examples: &["10.0.0.0/8", "2001:db8::/32", "127.0.0.1"],
    },
    parse,
    print: |network| Yaml::text(network),
};

fn parse(text: &str) -> Parsed<IpNet> {
    let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    if let Ok(network) = network {
        return as_matched(text, network.trunc());
    }
    Err(Invalid::with_help(
        format!("`{text}` is not a network"),
        "write it as `10.0.0.0/8`, `2001:db8::/32` or one IP address",
    ))
}

/// IPv4 addresses that arrive on an IPv6 socket are compared as IPv4.
fn as_matched(text: &str, network: IpNet) -> Parsed<IpNet> {
    if let IpNet::V6(v6) = network
        && let Some(ip) = v6.network().to_ipv4_mapped()
        && let Some(length) = v6.prefix_len().checked_sub(96)
    {
        let help = format!("addresses are matched in their canonical form: write `{ip}/{length}`");
        return Err(Invalid::with_help(format!("no client is in `{text}`"), help));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_kept_without_host_bits() {
        assert_eq!(parse("10.1.2.3/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(parse("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(parse("::1").unwrap().to_string(), "::1/128");
        for bad in ["", "10.0.0.0/33", "example.com", "10.0.0", "::ffff:10.0.0.0/104", "1.2.3.4/-1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
