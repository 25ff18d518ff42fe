//! PEM files of certificates and private keys, of clients and of servers.

use std::fmt::Display;
use std::path::PathBuf;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::value::FileToRead;
use super::yaml::{Invalid, Parsed};

/// A PEM file that was readable and held what it should when the configuration was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PemFile {
    pub path: PathBuf,
    /// DER of each certificate, or of the one key.
    pub der: Vec<Vec<u8>>,
}

pub const CERTIFICATES: FileToRead<PemFile> = FileToRead {
    what: "a PEM file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: |path, bytes| {
        let der = certificates(&bytes)?;
        der.iter().try_for_each(|der| parse(der).map(drop))?;
        Ok(PemFile { path, der })
    },
    path: |file| &file.path,
};

pub const PRIVATE_KEY: FileToRead<PemFile> = FileToRead {
    parse: |path, bytes| {
        let der = private_key(&bytes)?;
        match PrivateKeyDer::try_from(der.as_slice()) {
            Err(e) => Err(Invalid::new(format!("the private key in this file cannot be used: {e}"))),
            Ok(_) => Ok(PemFile { path, der: vec![der] }),
        }
    },
    ..CERTIFICATES
};

/// DER of each certificate of a file; at least one.
pub fn certificates(pem: &[u8]) -> Parsed<Vec<Vec<u8>>> {
    sections(pem, "certificate", |kind| kind == SectionKind::Certificate)
}

/// DER of the first private key of a file.
pub fn private_key(pem: &[u8]) -> Parsed<Vec<u8>> {
    let is_key =
        |kind| matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey);
    sections(pem, "private key", is_key).map(|mut der| der.swap_remove(0))
}

/// The certificate in DER.
pub fn parse(der: &[u8]) -> Parsed<X509Certificate<'_>> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(e) => Err(Invalid::new(format!("the certificate in this file cannot be used: {e}"))),
    }
}

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

/// A chain with its key, as rustls uses the two. `chain_file` is where the chain stands. Errors
/// are those of the key.
pub fn certified_key(
    chain: Vec<Vec<u8>>,
    key: Vec<u8>,
    chain_file: &dyn Display,
    provider: &CryptoProvider,
) -> Parsed<CertifiedKey> {
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let unusable = |reason: &dyn Display| Invalid::new(format!("the private key cannot be used: {reason}"));
    let key = PrivateKeyDer::try_from(key).map_err(|e| unusable(&e))?;
    match CertifiedKey::from_der(chain, key, provider) {
        Ok(certified) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let help = format!("it is not the key of {chain_file}");
            Err(Invalid::with_help("`cert` and `key` do not belong together", help))
        }
        Err(e) => Err(unusable(&e)),
    }
}
