//! `listeners`: where clients connect, and what they speak there before the first request.

mod certificate;
mod client_auth;
mod ocsp;
mod proxy_protocol;
mod ticket_keys;
mod tls;

pub use certificate::{CertificateFiles, CertificateRefusal, ServerCertificate, Versions};
pub use client_auth::{ClientAuth, ClientAuthMode, HostClientAuth};
#[cfg(test)]
pub use ocsp::made::response as ocsp_response;
pub use proxy_protocol::ProxyProtocol;
pub use ticket_keys::{TicketKey, TicketKeyFile, TicketKeySource};
pub use tls::{ListenerTls, TlsVersion};
pub(super) use tls::{certificates, warn_same_names};

use super::section::{AsSection, Fields, Form, Reader, Shape, Value, or_null, or_word, section, some_of};
use super::value::{Address, ListenAddress};
use super::yaml::{Invalid, Kind, Location, Node, Span, Yaml};

section! {
    /// One place where clients connect.
    #[derive(Clone, Debug)]
    "a listener" pub struct Listener {
        /// `IP:port`, `:port` for every IPv4 address, `[::]:port` for every IPv6 address, and every IPv4 address unless `0.0.0.0:port` is listed too, or `unix:/path`.
        address: Address, required "\"0.0.0.0:8080\"", with ListenAddress;
        /// TLS: clients connect by HTTPS.
        tls: Option<ListenerTls> = null, with or_null(AsSection);
        /// Whether clients may speak HTTP/2: by ALPN with TLS, with prior knowledge (h2c) without.
        http2: Option<bool> = "auto", with or_word("auto", "On with TLS, off without.", bool::form());
        /// The load balancer in front that says by the PROXY protocol (version 1 or 2) who the client is.
        proxy_protocol: Option<ProxyProtocol> = null, with or_null(AsSection);
        /// Whether every request is answered with a redirect to `https://` (308).
        redirect_https: bool = false;
    }
    derived { location: Location }
    later { tcp }
    no_effect Listener::no_effect;
    check Listener::check;
}

impl Listener {
    /// One of which only the address is written.
    pub fn at(address: Address) -> Self {
        Self {
            address,
            tls: None,
            http2: None,
            proxy_protocol: None,
            redirect_https: false,
            location: Location::default(),
        }
    }

    /// Whether clients may speak HTTP/2 here.
    pub fn takes_http2(&self) -> bool {
        self.http2.unwrap_or(self.tls.is_some())
    }

    fn is_address_only(&self) -> bool {
        let Self { address: _, tls, http2, proxy_protocol, redirect_https, location: _ } = self;
        tls.is_none() && http2.is_none() && proxy_protocol.is_none() && !redirect_https
    }

    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let has_no_effect = key == "redirect_https" && self.redirect_https && self.tls.is_some();
        has_no_effect.then(|| {
            let help = "write it at the listener without TLS whose clients should come here";
            Invalid::with_help("`redirect_https` has no effect with `tls`: its clients use HTTPS already", help)
        })
    }

    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        self.location.0 = fields.get("address").map_or(Span::default(), |node| node.span);
        if let Some(proxy_protocol) = &self.proxy_protocol {
            let from = fields.get("proxy_protocol").and_then(|node| node.entry("from"));
            let is_written = from.is_some_and(|(_, from)| !matches!(&from.kind, Kind::Seq(items) if items.is_empty()));
            proxy_protocol.check(reader, fields.key_span("proxy_protocol"), &self.address, is_written);
        }
    }
}

/// At least one listener.
pub fn listeners() -> impl Form<Vec<Listener>> {
    some_of(
        "addresses such as `0.0.0.0:8080`",
        AddressOrMap,
        ("no listener: nothing could connect", Some("add for instance \"0.0.0.0:8080\"")),
    )
}

/// A listener of which only the address is written, or a map.
struct AddressOrMap;

impl Form<Listener> for AddressOrMap {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Listener> {
        if matches!(node.kind, Kind::Map(_)) {
            return AsSection.read(reader, node);
        }
        let address = ListenAddress.read(reader, node)?;
        Some(Listener { location: Location(node.span), ..Listener::at(address) })
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![Form::<Address>::shape(&ListenAddress), Form::<Listener>::shape(&AsSection)])
    }

    fn print(&self, listener: &Listener) -> Yaml {
        if listener.is_address_only() { ListenAddress.print(&listener.address) } else { AsSection.print(listener) }
    }
}
