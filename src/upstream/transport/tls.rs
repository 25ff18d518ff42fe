//! TLS as a client of an upstream. One configuration serves all connections of an upstream, and
//! each endpoint remembers the sessions of its own server, so that the next connection resumes one.

use std::sync::Arc;

use pingora::Result;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use super::failure::handshake_failed;
use crate::config::{PemFile, UpstreamTls};
use crate::transport::{Socket, TlsStream, system_roots};

/// Sessions that are remembered of one server: as many as rustls keeps tickets of a name.
const SESSIONS: usize = 8;

/// How connections are encrypted, and whose certificate is accepted. There is always a name: a
/// certificate cannot be verified without one.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient").field("name", &self.name).finish_non_exhaustive()
    }
}

impl TlsClient {
    /// # Errors
    /// In words, when the name is none or a certificate or key cannot be used.
    pub fn new(settings: &UpstreamTls) -> Result<Self, String> {
        let name = ServerName::try_from(settings.sni.clone())
            .map_err(|_| format!("`{}` is no name that a certificate can have", settings.sni))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = match settings.verify {
            true => builder.with_root_certificates(roots(settings.ca.as_ref())?),
            false => builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(provider))),
        };
        let config = match settings.identity() {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificate.der.iter().map(|der| CertificateDer::from(der.clone())).collect();
                let der = key.der.first().cloned().ok_or_else(|| format!("{}: no key", key.path.display()))?;
                let der = PrivateKeyDer::try_from(der).map_err(|e| format!("{}: {e}", key.path.display()))?;
                let unusable = |e: rustls::Error| format!("{}: {e}", certificate.path.display());
                builder.with_client_auth_cert(chain, der).map_err(unusable)?
            }
        };
        Ok(Self { config: Arc::new(config), name })
    }

    /// The same for one server: tickets of another would be of no use to it.
    pub fn with_own_sessions(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Self { config: Arc::new(config), name: self.name.clone() }
    }

    /// `protocols`: what the server is offered (ALPN), the preferred one first.
    ///
    /// # Errors
    /// `TLSHandshakeFailure` with what rustls says.
    pub async fn handshake(&self, socket: Socket, protocols: &[&[u8]]) -> Result<TlsStream<Socket>> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let offered = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        let made = connector.with_alpn(offered).connect(self.name.clone(), socket).await;
        Ok(made.map_err(|e| handshake_failed(e, &self.name.to_str()))?.into())
    }
}

/// The certificates to trust: those of the file, or the system's.
fn roots(ca: Option<&PemFile>) -> Result<Arc<RootCertStore>, String> {
    let Some(ca) = ca else { return Ok(system_roots()) };
    let mut roots = RootCertStore::empty();
    for der in &ca.der {
        roots.add(CertificateDer::from(der.clone())).map_err(|e| format!("{}: {e}", ca.path.display()))?;
    }
    Ok(Arc::new(roots))
}

/// `verify: false`: whoever answers is the server. It still has to have the key of what it shows.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
