//! `listeners`: where clients connect.

use super::section::{AsSection, Either, Fields, Form, Reader, Shape, section, some_of};
use super::value::{Address, ListenAddress};
use super::yaml::{Location, Node, Span, Yaml};

section! {
    /// One place where clients connect.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "a listener" pub struct Listener {
        /// `IP:port`, `:port` for every IPv4 address, `[::]:port` for every IPv6 address, and every IPv4 address unless `0.0.0.0:port` is listed too, or `unix:/path`.
        address: Address, required "\"0.0.0.0:8080\"", with ListenAddress;
    }
    derived { location: Location }
    later { tls, http2, proxy_protocol, redirect_https, tcp }
    check Listener::note_location;
}

impl Listener {
    fn note_location(&mut self, _: &mut Reader<'_>, fields: &Fields<'_>) {
        self.location.0 = fields.get("address").map_or(Span::default(), |node| node.span);
    }
}

/// At least one listener.
pub fn listeners() -> impl Form<Vec<Listener>> {
    some_of(
        "addresses such as `0.0.0.0:8080`",
        Either { short: AddressOnly, map: AsSection, prints_short: true },
        ("no listener: nothing could connect", Some("add for instance \"0.0.0.0:8080\"")),
    )
}

/// A listener of which only the address is written.
struct AddressOnly;

impl Form<Listener> for AddressOnly {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Listener> {
        ListenAddress.read(reader, node).map(|address| Listener { address, location: Location(node.span) })
    }

    fn shape(&self) -> Shape {
        Form::<Address>::shape(&ListenAddress)
    }

    fn print(&self, listener: &Listener) -> Yaml {
        ListenAddress.print(&listener.address)
    }
}
