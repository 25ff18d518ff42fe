//! `admin`: where the process answers an operator, and what callers must show there.

mod tls;
mod token;

pub use tls::AdminTls;
pub use token::AdminToken;

use super::section::{AsSection, Fields, Form, Reader, Value, Word, WordsOr, optional, or_null, section};
use super::value::{Address, OwnAddress};
use super::yaml::{Invalid, Kind, Location, Span};
use token::TOKEN;

section! {
    /// Health, readiness, figures, requests and the state of servers, for probes and operators.
    #[derive(Clone, Debug)]
    "`admin`" pub struct Admin {
        /// `IP:port`, or `unix:/path`. It answers probes, people and the dashboard; on a unix socket, made with mode 0600, it changes servers too. An address that is not loopback needs `token_file` or `tls.client_auth`.
        address: AdminAddress = "auto";
        /// A file with a token of at least 16 characters, which callers show as `Authorization: Bearer`; it may change servers over TCP too. /health, /ready and the dashboard's files need none. The file is read again when it changes.
        token as "token_file": Option<AdminToken>, with optional(TOKEN);
        /// TLS: callers connect by HTTPS.
        tls: Option<AdminTls> = null, with or_null(AsSection);
    }
    derived { address_span: Location }
    no_effect Admin::no_effect;
    check Admin::check;
}

impl Admin {
    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let is_unix = matches!(self.address, AdminAddress::At(Address::Unix(_)));
        (key == "tls" && is_unix).then(|| {
            let help = "leave it out, or give `admin.address` an IP address";
            Invalid::with_help(
                "`tls` has no effect on a unix socket: its mode and its folder decide who connects",
                help,
            )
        })
    }

    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        let span = fields.get("address").map_or(Span::default(), |node| node.span);
        self.address_span.0 = span;
        // Of what could not be read, an error tells already.
        let asks_for_certificates = fields.get("tls").and_then(|tls| tls.entry("client_auth"));
        let tells_callers_apart = fields.has("token_file")
            || asks_for_certificates.is_some_and(|(_, client_auth)| matches!(client_auth.kind, Kind::Map(_)));
        if let AdminAddress::At(Address::Tcp(tcp)) = &self.address
            && !tcp.ip().is_loopback()
            && !tells_callers_apart
        {
            let (message, help) = match &self.tls {
                None => (
                    "the admin endpoint asks for no password: it listens on loopback or a unix socket",
                    format!(
                        "write `127.0.0.1:{}` or `unix:/path`, name a token in `admin.token_file`, or ask for certificates in \
                         `admin.tls.client_auth`",
                        tcp.port()
                    ),
                ),
                Some(_) => (
                    "`tls` alone lets everybody in: it hides what is said, and asks nobody who he is",
                    "name a token in `admin.token_file`, or ask for certificates in `admin.tls.client_auth`".to_owned(),
                ),
            };
            reader.error_help(span, message, help);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// 127.0.0.1:9180, if nothing else has it.
    Auto,
    Off,
    /// A loopback address, a unix socket, or any address where callers show a token or a certificate.
    At(Address),
}

impl Value for AdminAddress {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [
                (Self::Auto, Word { word: "auto", doc: "127.0.0.1:9180, unless something else has it." }),
                (Self::Off, Word { word: "off", doc: "No admin endpoint." }),
            ],
            form: OwnAddress,
            wrap: Self::At,
            unwrap: |address| match address {
                Self::At(address) => Some(address.clone()),
                Self::Auto | Self::Off => None,
            },
        }
    }
}
