//! An upstream's `tls`: files that can be used, and a name to verify.

use std::net::IpAddr;

use super::server::UpstreamServer;
use crate::config::pem::{self, CERTIFICATES, PRIVATE_KEY, PemFile};
use crate::config::section::{Fields, Form, Reader, Scalar, Shape, Syntax, or_null, section};
use crate::config::value::{Address, ServerPlace, dns_name};
use crate::config::yaml::{Invalid, Node, Parsed, Span, Yaml};

section! {
    /// TLS to the servers.
    #[derive(Clone, Debug, PartialEq, Eq)]
    "`tls`" pub struct UpstreamTls {
        /// The name that is sent as SNI and that the certificate must have; by default the host name of the server.
        sni: String = null, with Sni;
        /// Whether the certificate is verified.
        verify: bool = true;
        /// PEM certificates to trust instead of the system's.
        ca: Option<PemFile> = null, with or_null(CERTIFICATES);
        /// The client certificate, PEM.
        cert: Option<PemFile> = null, with or_null(CERTIFICATES);
        /// Its private key, PEM.
        key: Option<PemFile> = null, with or_null(PRIVATE_KEY);
    }
    together { cert, key }
    no_effect UpstreamTls::no_effect;
    check UpstreamTls::check;
}

impl UpstreamTls {
    /// The client's certificate and its key.
    pub fn identity(&self) -> Option<(&PemFile, &PemFile)> {
        self.cert.as_ref().zip(self.key.as_ref())
    }

    fn no_effect(&self, key: &str) -> Option<Invalid> {
        let has_no_effect = key == "ca" && !self.verify;
        has_no_effect.then(|| Invalid::with_help("`ca` has no effect with `verify: false`", "remove one of them"))
    }

    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if let Some((cert, key)) = self.identity() {
            let belong = belong_together(cert, key);
            reader.accept(fields.key_span("key"), belong);
        }
        if self.verify && self.sni.parse::<IpAddr>().is_ok() {
            let span = fields.get("sni").map_or(fields.span, |node| node.span);
            let help = "or switch verification off with `verify: false`";
            reader.error_help(span, "`sni` is a name, not an IP address", help);
        }
    }

    /// Takes the name from the servers where none is written: an empty one would silently
    /// switch verification off.
    pub fn infer_sni(&mut self, reader: &mut Reader<'_>, span: Span, servers: &[UpstreamServer]) {
        if !self.sni.is_empty() {
            return;
        }
        let mut names = servers.iter().map(|server| server.address.name.as_ref());
        let Some(first) = names.next() else { return };
        if names.any(|name| name != first) {
            let help = "say which one their certificates hold: `tls: { sni: … }`";
            return reader.error_help(span, "the servers have different names", help);
        }
        let place = servers.first().map(|server| &server.address.place);
        match (first, place) {
            (Some(name), _) => self.sni.clone_from(name),
            (None, Some(ServerPlace::At(Address::Tcp(socket)))) if !self.verify => self.sni = socket.ip().to_string(),
            (None, _) => {
                let message = "TLS needs a name to verify, and the servers have none";
                reader.error_help(span, message, "say which one: `tls: { sni: … }`");
            }
        }
    }
}

/// A name, or `null` for the servers' own, which is the empty text until they are known.
struct Sni;

impl Form<String> for Sni {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
        if node.is_null() { Some(String::new()) } else { SNI.read(reader, node) }
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![SNI.shape(), Shape::Null])
    }

    fn print(&self, name: &String) -> Yaml {
        SNI.print(name)
    }
}

const SNI: Scalar<String> = Scalar {
    what: "a host name",
    syntax: Syntax {
        kind: "host name",
        numbers: true,
        pattern: Some("^([A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*|[0-9A-Fa-f:.]+)$"),
        examples: &["app.internal"],
    },
    parse: |text| match text.parse::<IpAddr>() {
        Ok(ip) => Ok(ip.to_string()),
        Err(_) => dns_name(text),
    },
    print: |name| Yaml::text(name),
};

/// Asks rustls itself, which is what will use them.
fn belong_together(cert: &PemFile, key: &PemFile) -> Parsed<()> {
    let der = key.der.first().cloned().unwrap_or_default();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    pem::certified_key(cert.der.clone(), der, &cert.path.display(), &provider).map(drop)
}
