//! `admin`: where the process answers an operator.

use super::section::{Fields, Form, Reader, Value, Word, WordsOr, section};
use super::value::{Address, LocalAddress};
use super::yaml::{Location, Span};

section! {
    /// Health, readiness and the state of servers, for probes and operators.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`admin`" pub struct Admin {
        /// `IP:port` on loopback, or `unix:/path`. It answers /health, /ready and /upstreams; on a unix socket, made with mode 0600, it changes servers too.
        address: AdminAddress = "auto";
    }
    derived { address_span: Location }
    check Admin::note_span;
}

impl Admin {
    fn note_span(&mut self, _: &mut Reader<'_>, fields: &Fields<'_>) {
        self.address_span.0 = fields.get("address").map_or(Span::default(), |node| node.span);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// 127.0.0.1:9180, if nothing else has it.
    Auto,
    Off,
    /// A loopback address or a unix socket.
    At(Address),
}

impl Value for AdminAddress {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [
                (Self::Auto, Word { word: "auto", doc: "127.0.0.1:9180, unless something else has it." }),
                (Self::Off, Word { word: "off", doc: "No admin endpoint." }),
            ],
            form: LocalAddress,
            wrap: Self::At,
            unwrap: |address| match address {
                Self::At(address) => Some(address.clone()),
                Self::Auto | Self::Off => None,
            },
        }
    }
}
