//! `servers`: where an upstream's servers are.

use std::collections::HashMap;
use std::time::Duration;

use crate::config::section::{AsSection, Either, Fields, Form, FromKeys, Reader, Shape, optional, section};
use crate::config::value::{
    ADDRESS_RECORDS, Lookup, Named, SERVER, SERVICE_RECORDS, ServerPlace, WrittenServer, at_least,
};
use crate::config::yaml::{Invalid, Location, Node, Yaml};

section! {
    /// One server of an upstream, or a name that stands for several.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "a server" pub struct UpstreamServer {
        /// How often a name is looked up; at least 1s.
        refresh: Duration = "10s", with at_least(Duration::from_secs(1), "a name is looked up at most once a second");
        /// Its share of the requests, relative to the others'.
        weight: u32 = 1, in 1..=1000;
        /// Whether it gets requests only while all others are down.
        backup: bool = false;
    }
    first { address: WrittenServer }
    derived { location: Location }
    no_effect UpstreamServer::no_effect;
    check UpstreamServer::finish;
}

section! {
    /// Where a server is, or where to ask for that.
    #[derive(Clone, Debug)]
    "a server" pub struct ServerAddress {
        /// `IP:port`, `name:port` or `unix:/path`.
        address: Option<WrittenServer>, with optional(SERVER);
        /// `name:port`: each address of the name is a server.
        dns: Option<WrittenServer>, with optional(ADDRESS_RECORDS);
        /// A name such as `_http._tcp.app.internal`: each target of its SRV records is a server.
        srv: Option<WrittenServer>, with optional(SERVICE_RECORDS);
    }
    one_of "address" or "make it another entry of `servers`" { address, dns, srv }
}

impl FromKeys for WrittenServer {
    type Keys = ServerAddress;

    fn from_keys(keys: ServerAddress) -> Option<Self> {
        keys.address.or(keys.dns).or(keys.srv)
    }

    fn to_keys(&self) -> ServerAddress {
        let mut keys = ServerAddress { address: None, dns: None, srv: None };
        let key = match &self.place {
            ServerPlace::At(_) | ServerPlace::Named(Named { kind: Lookup::One { .. }, .. }) => &mut keys.address,
            ServerPlace::Named(Named { kind: Lookup::Each { .. }, .. }) => &mut keys.dns,
            ServerPlace::Named(Named { kind: Lookup::Services, .. }) => &mut keys.srv,
        };
        *key = Some(self.clone());
        keys
    }
}

impl UpstreamServer {
    /// An address alone, or a map.
    pub fn short_or_map() -> impl Form<Self> {
        Either { short: AddressOnly, map: AsSection, prints_short: false }
    }

    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let has_no_effect = key == "refresh" && matches!(self.address.place, ServerPlace::At(_));
        has_no_effect
            .then(|| Invalid::with_help("`refresh` has no effect here", "an IP address or a path is not looked up"))
    }

    fn finish(&mut self, _: &mut Reader<'_>, fields: &Fields<'_>) {
        self.location.0 = fields.span;
        if let ServerPlace::Named(named) = &mut self.address.place {
            named.refresh = self.refresh;
        }
    }
}

/// A server of which only the address is written.
struct AddressOnly;

impl Form<UpstreamServer> for AddressOnly {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<UpstreamServer> {
        let address = SERVER.read(reader, node)?;
        let refresh = match &address.place {
            ServerPlace::Named(named) => named.refresh,
            ServerPlace::At(_) => Duration::ZERO,
        };
        Some(UpstreamServer { address, refresh, weight: 1, backup: false, location: Location(node.span) })
    }

    fn shape(&self) -> Shape {
        SERVER.shape()
    }

    fn print(&self, server: &UpstreamServer) -> Yaml {
        SERVER.print(&server.address)
    }
}

/// Reports each server that an upstream has twice, however it is spelled.
pub fn refuse_duplicates(reader: &mut Reader<'_>, servers: &[UpstreamServer]) {
    let mut seen: HashMap<String, &UpstreamServer> = HashMap::new();
    for server in servers {
        let written = &server.address.written;
        // Names know no case, paths do.
        let place = if written.starts_with("unix:") { written.clone() } else { written.to_ascii_lowercase() };
        if let Some(first) = seen.insert(place, server) {
            let (as_written, line) = (&first.address.written, first.location.0.line);
            let help = format!("it is the same as `{as_written}` on line {line}; `weight` gives one a larger share");
            reader.error_help(server.location.0, format!("duplicate server `{written}`"), help);
        }
    }
}
