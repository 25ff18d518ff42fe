//! `match.client_cert`: the certificate by which a client was let in.

use std::fmt;

use data_encoding::HEXLOWER;

use crate::config::section::{
    AsSection, Fields, Form, FromKeys, Reader, Scalar, Shape, Syntax, Value, one_or_list, section,
};
use crate::config::value::plain;
use crate::config::yaml::{Invalid, Kind, Node, Parsed, Yaml};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCertPattern {
    Present,
    Absent,
    /// One of which all of this holds.
    Such(Such),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Such {
    pub common_names: Vec<String>,
    pub sans: Vec<String>,
    pub fingerprints: Vec<Fingerprint>,
}

/// The SHA-256 hash of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

section! {
    /// Which certificate. All of what is given must hold; within a list one is enough.
    #[derive(Clone, Debug, Default)]
    "`client_cert`" pub struct ClientCertKeys {
        /// The common name of its subject (CN).
        common_names as "common_name": Vec<String>, with one_or_list("a name", NAME);
        /// One of its subject's other names: a host, an e-mail address or a URI.
        sans as "san": Vec<String>, with one_or_list("a name", NAME);
        /// Its SHA-256 hash in hex, as `openssl x509 -fingerprint -sha256` prints it.
        fingerprints as "fingerprint": Vec<Fingerprint>, with one_or_list("a SHA-256 hash in hex", FINGERPRINT);
    }
    check ClientCertKeys::check;
}

impl ClientCertKeys {
    fn check(&mut self, reader: &mut Reader<'_>, fields: &Fields<'_>) {
        if !Self::KEYS.iter().any(|key| fields.has(key)) {
            reader.error_help(fields.span, "this says nothing of the certificate", "write `true` for any");
        }
    }
}

const NAME: Scalar<String> = plain("a name");

const FINGERPRINT: Scalar<Fingerprint> = Scalar {
    what: "a SHA-256 hash in hex",
    syntax: Syntax {
        kind: "SHA-256 hash",
        numbers: true,
        pattern: Some("^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$"),
        examples: &[],
    },
    parse: fingerprint,
    print: |fingerprint| Yaml::text(fingerprint),
};

fn fingerprint(text: &str) -> Parsed<Fingerprint> {
    let hex = text.replace(':', "").to_ascii_lowercase();
    let bytes = HEXLOWER.decode(hex.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(Fingerprint)
        .ok_or_else(|| Invalid::new("a SHA-256 hash has 64 hex digits, with `:` between pairs or not"))
}

impl FromKeys for ClientCertPattern {
    type Keys = ClientCertKeys;

    fn from_keys(keys: ClientCertKeys) -> Option<Self> {
        let ClientCertKeys { common_names, sans, fingerprints } = keys;
        Some(Self::Such(Such { common_names, sans, fingerprints }))
    }

    fn to_keys(&self) -> ClientCertKeys {
        match self.clone() {
            // The short form says it.
            Self::Present | Self::Absent => ClientCertKeys::default(),
            Self::Such(Such { common_names, sans, fingerprints }) => {
                ClientCertKeys { common_names, sans, fingerprints }
            }
        }
    }
}

impl Value for ClientCertPattern {
    fn form() -> impl Form<Self> {
        FlagOrKeys
    }
}

struct FlagOrKeys;

impl Form<ClientCertPattern> for FlagOrKeys {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<ClientCertPattern> {
        if matches!(node.kind, Kind::Map(_)) {
            return AsSection.read(reader, node);
        }
        let is_present = bool::form().read(reader, node)?;
        Some(if is_present { ClientCertPattern::Present } else { ClientCertPattern::Absent })
    }

    fn shape(&self) -> Shape {
        Shape::Any(vec![Shape::Bool, Form::<ClientCertPattern>::shape(&AsSection)])
    }

    fn print(&self, pattern: &ClientCertPattern) -> Yaml {
        match pattern {
            ClientCertPattern::Present => Yaml::word("true"),
            ClientCertPattern::Absent => Yaml::word("false"),
            ClientCertPattern::Such(_) => AsSection.print(pattern),
        }
    }
}
