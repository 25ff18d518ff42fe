//! What the configuration, or the lookup of a name, says of one endpoint.

use std::sync::Arc;

use super::transport::NameAddresses;
use crate::config::{Address, UpstreamTls};

/// An endpoint as the configuration or the lookup of a name has it.
#[derive(Clone, Debug)]
pub struct EndpointSpec {
    /// For a name that is one server, the address by which the server became known.
    pub address: Address,
    /// The addresses of a name that is one server; it may be reached at any of them.
    pub addresses: Option<Arc<NameAddresses>>,
    /// The server as it is written; for one of several addresses of a name, that address.
    pub label: String,
    /// The name and port as they are written, where the address was found by a name.
    pub name: Option<String>,
    /// 1..=1000.
    pub weight: u32,
    pub backup: bool,
}

/// A zone has a meaning on this machine only, so that it is sent to nobody (RFC 6874 section 4).
fn is_zoned(address: &std::net::SocketAddr) -> bool {
    matches!(address, std::net::SocketAddr::V6(v6) if v6.scope_id() != 0)
}

fn without_zone(mut address: std::net::SocketAddr) -> String {
    if let std::net::SocketAddr::V6(v6) = &mut address {
        v6.set_scope_id(0);
    }
    address.to_string()
}

/// First the authority that `host: upstream` sends, then other names of the server.
pub fn authorities(spec: &EndpointSpec, tls: Option<&UpstreamTls>) -> Vec<String> {
    let mut names = Vec::new();
    match &spec.address {
        Address::Tcp(address) => {
            if let Some(tls) = tls.filter(|t| t.sni.parse::<std::net::IpAddr>().is_err()) {
                names.push(match address.port() {
                    443 => tls.sni.clone(),
                    port => format!("{}:{port}", tls.sni),
                });
            }
            let written = spec.name.clone().or_else(|| (!is_zoned(address)).then(|| spec.label.clone()));
            let found = spec.addresses.iter().flat_map(|addresses| addresses.iter());
            let addresses = std::iter::once(*address).chain(found).map(without_zone);
            for name in written.into_iter().chain(addresses) {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        Address::Unix(_) => names.push(tls.map_or_else(|| "localhost".to_owned(), |t| t.sni.clone())),
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_zone_is_part_of_an_authority() {
        let zoned = "[fe80::1%7]:80".parse().unwrap();
        assert!(is_zoned(&zoned) && !is_zoned(&"[fe80::1]:80".parse().unwrap()));
        assert_eq!(without_zone(zoned), "[fe80::1]:80");
        let written = "[fe80::1%eth0]:80".to_owned();
        let spec = EndpointSpec {
            address: Address::Tcp(zoned),
            addresses: None,
            label: written,
            name: None,
            weight: 1,
            backup: false,
        };
        assert_eq!(authorities(&spec, None), ["[fe80::1]:80"]);
    }
}
