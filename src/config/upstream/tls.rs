//! An upstream's `tls`: files that can be used, and a name to verify.

use std::net::IpAddr;
use std::path::PathBuf;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::server::UpstreamServer;
use crate::config::section::{AsSection, Fields, Form, Reader, Scalar, Shape, Syntax, or_null, section};
use crate::config::value::{Address, FileToRead, ServerPlace, dns_name};
use crate::config::yaml::{Invalid, Kind, Node, Parsed, Span, Yaml};

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

/// A PEM file that was readable and held what it should when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    pub path: PathBuf,
    /// DER of each certificate, or of the one key.
    pub der: Vec<Vec<u8>>,
}

impl UpstreamTls {
    /// `true` for the defaults, `false` for none, or a map.
    pub fn switch() -> impl Form<Option<Self>> {
        Switch
    }

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

struct Switch;

impl Form<Option<UpstreamTls>> for Switch {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Option<UpstreamTls>> {
        match &node.kind {
            Kind::Bool(false, _) => Some(None),
            // All defaults, as an empty map has them.
            Kind::Bool(true, _) => {
                AsSection.read(reader, &Node { span: node.span, kind: Kind::Map(Vec::new()) }).map(Some)
            }
            Kind::Map(_) => AsSection.read(reader, node).map(Some),
            Kind::Null | Kind::Number(_) | Kind::String(_) | Kind::Seq(_) | Kind::Bad => {
                reader.expected(node, &["`true`", "`false`", "a map"]);
                None
            }
        }
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![Shape::Bool, Form::<UpstreamTls>::shape(&AsSection)])
    }

    fn print(&self, tls: &Option<UpstreamTls>) -> Yaml {
        tls.as_ref().map_or(Yaml::word(false), |tls| AsSection.print(tls))
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

const CERTIFICATES: FileToRead<PemFile> = FileToRead {
    what: "a PEM file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: |path, bytes| {
        let der = sections(&bytes, "certificate", |kind| kind == SectionKind::Certificate)?;
        let unusable = der.iter().find_map(|der| X509Certificate::from_der(der).err());
        match unusable {
            Some(e) => Err(Invalid::new(format!("the certificate in this file cannot be used: {e}"))),
            None => Ok(PemFile { path, der }),
        }
    },
    path: |file| &file.path,
};

const PRIVATE_KEY: FileToRead<PemFile> = FileToRead {
    parse: |path, bytes| {
        let is_key =
            |kind| matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey);
        let mut der = sections(&bytes, "private key", is_key)?;
        der.truncate(1);
        match PrivateKeyDer::try_from(der.first().map_or(&[][..], Vec::as_slice)) {
            Err(e) => Err(Invalid::new(format!("the private key in this file cannot be used: {e}"))),
            Ok(_) => Ok(PemFile { path, der }),
        }
    },
    ..CERTIFICATES
};

/// The content of each section of a PEM file that is wanted; at least one.
fn sections(pem: &[u8], what: &str, wanted: fn(SectionKind) -> bool) -> Parsed<Vec<Vec<u8>>> {
    let mut der = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        match section {
            Ok((kind, content)) if wanted(kind) => der.push(content),
            Ok(_) => {}
            Err(e) => return Err(Invalid::new(format!("this file is not valid PEM: {e}"))),
        }
    }
    if der.is_empty() {
        return Err(Invalid::new(format!("there is no {what} in this file")));
    }
    Ok(der)
}

/// Asks rustls itself, which is what will use them.
fn belong_together(cert: &PemFile, key: &PemFile) -> Parsed<()> {
    let chain = cert.der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let unusable = |reason: &dyn std::fmt::Display| Invalid::new(format!("the private key cannot be used: {reason}"));
    let der = key.der.first().cloned().unwrap_or_default();
    let der = PrivateKeyDer::try_from(der).map_err(|e| unusable(&e))?;
    match CertifiedKey::from_der(chain, der, &rustls::crypto::ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let help = format!("it is not the key of {}", cert.path.display());
            Err(Invalid::with_help("`cert` and `key` do not belong together", help))
        }
        Err(e) => Err(unusable(&e)),
    }
}
