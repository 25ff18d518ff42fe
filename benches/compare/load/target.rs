//! Where clients connect to, and what they offer there: nothing, or TLS, the same to every proxy.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::NAME;
use crate::error::Result;

/// A proxy as the clients of one measurement see it.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// None in the clear, one for all clients, or one for each with tickets of its own.
    configs: Vec<Arc<ClientConfig>>,
}

/// What one client opens its connections with.
#[derive(Clone, Debug)]
pub struct Dialer {
    address: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// A connection.
pub struct Wire {
    pub stream: Box<dyn Duplex>,
    /// Whether it goes on with a TLS session of before.
    pub resumed: bool,
}

/// Bytes in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

impl Target {
    pub fn clear(address: SocketAddr) -> Self {
        Self { address, configs: Vec::new() }
    }

    /// TLS 1.3, one suite and one key exchange: no proxy pays for a stronger one that it has and
    /// another has not. `sessions`: how many clients resume sessions, if any.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub fn tls(address: SocketAddr, certificate: &Path, protocol: &str, sessions: usize) -> Result<Self> {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
        provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config.resumption = Resumption::disabled();
        let own = |_| {
            let mut config = config.clone();
            config.resumption = Resumption::in_memory_sessions(1);
            Arc::new(config)
        };
        let configs = if sessions == 0 { vec![Arc::new(config)] } else { (0..sessions).map(own).collect() };
        Ok(Self { address, configs })
    }

    /// For one client, whose tickets last from one measurement to the next.
    pub fn dialer(&self, client: usize) -> Dialer {
        let tls = self.configs.get(client % self.configs.len().max(1)).cloned();
        Dialer { address: self.address, tls }
    }
}

impl Dialer {
    /// # Errors
    /// When the proxy refuses the connection or the handshake, or takes another protocol.
    pub async fn dial(&self) -> std::io::Result<Wire> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let Some(config) = &self.tls else { return Ok(Wire { stream: Box::new(stream), resumed: false }) };
        let name = ServerName::try_from(NAME).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await?;
        let connection = stream.get_ref().1;
        if connection.alpn_protocol() != config.alpn_protocols.first().map(Vec::as_slice) {
            return Err(std::io::Error::other("another protocol than was asked for"));
        }
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Wire { stream: Box::new(stream), resumed })
    }
}
