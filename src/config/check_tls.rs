//! From the tree to an upstream's TLS: files that can be used, and a name to verify.
//! Must not know what else an upstream has.

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::check;
use super::check_server::Found;
use super::decode::{Cx, Fields};
use super::keys;
use super::model::*;
use super::node::{Kind, Node};
use super::problem::Span;
use super::value::{self, Read, Wrong};

pub fn tls(cx: &mut Cx<'_>, node: &Node, at: Span, names: &[Option<String>], servers: &[Found]) -> Option<UpstreamTls> {
    if let Kind::Bool(on, _) = node.kind {
        let sni = if on { sni(cx, None, at, true, names, servers) } else { None };
        return sni.map(|sni| UpstreamTls { sni, verify: true, ca: None, identity: None });
    }
    if !matches!(node.kind, Kind::Map(_)) {
        cx.expected(node, "`true`, `false` or a map");
        return None;
    }
    let fields = Fields::open(cx, node, &keys::UPSTREAM_TLS)?;
    let verify = fields.get("verify").and_then(|node| cx.boolean(node)).unwrap_or(true);
    let ca = fields.get("ca").and_then(|node| pem(cx, node, "certificate", is_certificate));
    if !verify && fields.get("ca").is_some() {
        cx.error_help(fields.key_span("ca"), "`ca` has no effect with `verify: false`", "remove one of them");
    }
    let cert = fields.get("cert").and_then(|node| pem(cx, node, "certificate", is_certificate));
    let key = fields.get("key").and_then(|node| pem(cx, node, "private key", is_key));
    for (one, other) in [("cert", "key"), ("key", "cert")] {
        if fields.get(one).is_some() && fields.get(other).is_none() {
            cx.error(fields.key_span(one), format!("`{one}` needs `{other}` beside it"));
        }
    }
    let identity = cert.zip(key);
    if let Some((cert, key)) = &identity {
        cx.accept(fields.key_span("key"), belong_together(cert, key));
    }
    let sni = sni(cx, fields.get("sni"), at, verify, names, servers)?;
    Some(UpstreamTls { sni, verify, ca, identity })
}

/// Asks rustls itself, which is what will use them.
fn belong_together(cert: &PemFile, key: &PemFile) -> Read<()> {
    let chain = cert.der.iter().map(|der| CertificateDer::from(der.clone())).collect();
    let unusable = |reason: &dyn std::fmt::Display| Wrong::new(format!("the private key cannot be used: {reason}"));
    let der = key.der.first().cloned().unwrap_or_default();
    let der = PrivateKeyDer::try_from(der).map_err(|e| unusable(&e))?;
    match CertifiedKey::from_der(chain, der, &rustls::crypto::ring::default_provider()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let help = format!("it is not the key of {}", cert.path.display());
            Err(Wrong::with_help("`cert` and `key` do not belong together", help))
        }
        Err(e) => Err(unusable(&e)),
    }
}

/// The name to ask for, given or taken from the servers. Never empty.
fn sni(
    cx: &mut Cx<'_>,
    given: Option<&Node>,
    at: Span,
    verify: bool,
    names: &[Option<String>],
    servers: &[Found],
) -> Option<String> {
    if let Some(node) = given {
        return cx.read(node, "a host name", |text| match text.parse::<std::net::IpAddr>() {
            Ok(ip) if !verify => Ok(ip.to_string()),
            Ok(_) => Err(Wrong::with_help(
                "`sni` is a name, not an IP address",
                "or switch verification off with `verify: false`",
            )),
            Err(_) => value::dns_name(text),
        });
    }
    let (first, rest) = names.split_first()?;
    if rest.iter().any(|n| n != first) {
        cx.error_help(
            at,
            "the servers have different names",
            "say which one their certificates hold: `tls: { sni: … }`",
        );
        return None;
    }
    if let Some(name) = first {
        return Some(name.clone());
    }
    match servers.first().map(|s| &s.server.place) {
        Some(ServerPlace::At(Address::Tcp(socket))) if !verify => Some(socket.ip().to_string()),
        _ => {
            cx.error_help(
                at,
                "TLS needs a name to verify, and the servers have none",
                "say which one: `tls: { sni: … }`",
            );
            None
        }
    }
}

fn is_certificate(kind: SectionKind) -> bool {
    kind == SectionKind::Certificate
}

fn is_key(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
}

fn pem(cx: &mut Cx<'_>, node: &Node, what: &str, wanted: fn(SectionKind) -> bool) -> Option<PemFile> {
    let text = cx.text(node, "a PEM file's path")?;
    let path = cx.path(text);
    let bytes = check::read_file(cx, node, &path)?;
    let mut der = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&bytes) {
        match section {
            Ok((kind, content)) if wanted(kind) => der.push(content),
            Ok(_) => {}
            Err(e) => {
                cx.error(node.span, format!("this file is not valid PEM: {e}"));
                return None;
            }
        }
    }
    if der.is_empty() {
        cx.error(node.span, format!("there is no {what} in this file"));
        return None;
    }
    let unusable = if what == "private key" {
        der.truncate(1);
        PrivateKeyDer::try_from(der.first().map_or(&[][..], Vec::as_slice)).err().map(str::to_owned)
    } else {
        der.iter().find_map(|der| X509Certificate::from_der(der).err()).map(|e| e.to_string())
    };
    if let Some(reason) = unusable {
        cx.error(node.span, format!("the {what} in this file cannot be used: {reason}"));
        return None;
    }
    Some(PemFile { path, der })
}
