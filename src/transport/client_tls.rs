//! What the TLS handshake with a client settled.

use http::HeaderValue;

/// Which rule for client certificates applies, by what it asks for: two hosts that ask for the same
/// have the same one, also after a reload has changed which hosts there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAuthRule(pub u128);

/// TLS between a client and a listener.
#[derive(Debug, Default)]
pub struct ClientTls {
    /// The name that the client asked for (SNI), in lower case.
    pub server_name: Option<Box<str>>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The rule under which the client was let in. A request for a host with another rule is
    /// misdirected (RFC 9110 section 15.5.20).
    pub client_auth: ClientAuthRule,
    /// The certificate that the client presented.
    pub client_cert: Option<ClientCert>,
}

/// A client's certificate as upstreams are told of it (RFC 9440).
#[derive(Debug)]
pub struct ClientCert {
    /// The value of `Client-Cert`.
    pub cert: HeaderValue,
    /// The value of `Client-Cert-Chain`: what the client sent beside its own certificate.
    pub chain: Option<HeaderValue>,
    pub identity: ClientIdentity,
}

/// Whom a certificate names. Routes choose by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIdentity {
    /// `None` where there are several.
    pub common_name: Option<Box<str>>,
    /// Hosts, e-mail addresses and URIs.
    pub sans: Box<[Box<str>]>,
    /// Of the certificate, by SHA-256.
    pub fingerprint: [u8; 32],
}
