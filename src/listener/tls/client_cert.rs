//! A client's certificate as upstreams are told of it (RFC 9440).

use data_encoding::BASE64;
use http::HeaderValue;
use rustls_pki_types::CertificateDer;

use crate::transport::ClientCert;

/// The certificate and its chain, as the client sent them; `None` where it sent none.
pub fn describe(sent: &[CertificateDer<'_>]) -> Option<ClientCert> {
    let (own, chain) = sent.split_first()?;
    let chain: Vec<String> = chain.iter().map(byte_sequence).collect();
    Some(ClientCert {
        cert: HeaderValue::try_from(byte_sequence(own)).ok()?,
        chain: if chain.is_empty() { None } else { Some(HeaderValue::try_from(chain.join(", ")).ok()?) },
    })
}

/// RFC 9651 section 3.3.5.
fn byte_sequence(der: &CertificateDer<'_>) -> String {
    format!(":{}:", BASE64.encode(der))
}

#[cfg(test)]
mod tests {
    use super::*;

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
