//! A client's certificate as upstreams are told of it (RFC 9440).

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64;
use http::HeaderValue;
use rustls_pki_types::CertificateDer;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::transport::{ClientCert, ClientIdentity};

/// The certificate and its chain, as the client sent them; `None` where it sent none.
pub fn describe(sent: &[CertificateDer<'_>]) -> Option<ClientCert> {
    let (own, chain) = sent.split_first()?;
    let chain: Vec<String> = chain.iter().map(byte_sequence).collect();
    Some(ClientCert {
        cert: HeaderValue::try_from(byte_sequence(own)).ok()?,
        identity: identity(own),
        chain: if chain.is_empty() { None } else { Some(HeaderValue::try_from(chain.join(", ")).ok()?) },
    })
}

/// A certificate that cannot be read names nobody: it was verified, and its hash is what it is.
fn identity(der: &CertificateDer<'_>) -> ClientIdentity {
    let mut fingerprint = [0; 32];
    fingerprint.iter_mut().zip(digest(&SHA256, der).as_ref()).for_each(|(to, from)| *to = *from);
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return ClientIdentity { fingerprint, ..ClientIdentity::default() };
    };
    let mut names = certificate.subject().iter_common_name();
    let common_name = match (names.next(), names.next()) {
        (Some(only), None) => only.as_str().ok().map(Into::into),
        (Some(_), Some(_)) | (None, _) => None,
    };
    let others = certificate.subject_alternative_name().ok().flatten();
    let others = others.into_iter().flat_map(|names| &names.value.general_names);
    let san = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => Some((*name).into()),
        _ => None,
    };
    ClientIdentity { common_name, sans: others.filter_map(san).collect(), fingerprint }
}

/// RFC 9651 section 3.3.5.
fn byte_sequence(der: &CertificateDer<'_>) -> String {
    format!(":{}:", BASE64.encode(der))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_its_subject() {
        let mut params = rcgen::CertificateParams::new(["us.example".to_owned(), "a@us.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "ann");
        let der = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone();
        let own = identity(&der);
        let hash = digest(&SHA256, &der);
        assert_eq!((own.common_name.as_deref(), own.fingerprint.as_slice()), (Some("ann"), hash.as_ref()));
        assert_eq!(own.sans.iter().map(AsRef::as_ref).collect::<Vec<_>>(), ["us.example", "a@us.example"]);
        let unreadable = identity(&CertificateDer::from(&b"own"[..]));
        assert!(unreadable.common_name.is_none() && unreadable.sans.is_empty());
    }

    #[test]
    fn certificates_are_byte_sequences_and_the_chain_a_list() {
        let der = |bytes: &'static [u8]| CertificateDer::from(bytes);
        assert!(describe(&[]).is_none());
        let alone = describe(&[der(b"own")]).unwrap();
        assert_eq!((alone.cert.to_str().unwrap(), alone.chain), (":b3du:", None));
        let with_chain = describe(&[der(b"own"), der(b"a"), der(b"b")]).unwrap();
        assert_eq!(with_chain.chain.unwrap(), ":YQ==:, :Yg==:");
    }
}
