//! Where a syslog daemon listens: `unix:/dev/log`, or an IP address and a UDP port.

use std::net::{IpAddr, SocketAddr};

use super::address::{Address, unix};
use crate::config::section::{Scalar, Syntax};
use crate::config::yaml::{Invalid, Parsed, Yaml};

pub const SYSLOG: Scalar<Address> = Scalar {
    what: "a syslog daemon such as `unix:/dev/log` or `192.0.2.1:514`",
    syntax: Syntax {
        kind: "syslog daemon",
        numbers: false,
        pattern: Some(concat!(
            "^(",
            pattern!(ipv4),
            ":",
            pattern!(some_port),
            "|",
            pattern!(ipv6),
            ":",
            pattern!(some_port),
            "|",
            pattern!(unix),
            ")$"
        )),
        examples: &["unix:/dev/log", "192.0.2.1:514"],
    },
    parse,
    print: |address| Yaml::text(address),
};

/// The port that syslog over UDP has (RFC 5426 section 3.3).
const USUAL_PORT: u16 = 514;

fn parse(text: &str) -> Parsed<Address> {
    if let Some(address) = unix(text) {
        return address;
    }
    if let Some(rest) = text.strip_prefix("udp://").or_else(|| text.strip_prefix("udp:")) {
        return Err(Invalid::unexpected(Some(format!("write `{rest}`: it is UDP in any case"))));
    }
    if text.starts_with('/') {
        return Err(Invalid::unexpected(Some(format!("write `unix:{text}`"))));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Err(Invalid::unexpected(Some(format!("write `{}`", SocketAddr::from((ip, USUAL_PORT))))));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(Address::Tcp(address)),
        Ok(_) => Err(Invalid::new("a daemon's port cannot be 0")),
        Err(_) => Err(Invalid::unexpected(None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_a_socket_or_an_address() {
        for text in ["unix:/dev/log", "192.0.2.1:514", "[::1]:1514"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        let help = |text| parse(text).unwrap_err().help.unwrap();
        assert_eq!(help("/dev/log"), "write `unix:/dev/log`");
        assert_eq!(help("udp://1.2.3.4:514"), "write `1.2.3.4:514`: it is UDP in any case");
        assert_eq!(help("::1"), "write `[::1]:514`");
        for bad in ["", "localhost:514", "1.2.3.4:0", "unix:dev/log"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
