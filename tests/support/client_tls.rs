//! TLS as the tests' clients speak it: an authority of their own, and a session that is read and
//! written by two threads at once.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// What every name of a test is below, or equal to.
const NAMES: [&str; 3] = ["localhost", "a.test", "h.test"];

/// Issues the certificates of proxies; the tests' clients believe no one else.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// One for all tests of a file.
pub static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificate = issuer.der().clone();
        Self { issuer, certificate }
    }

    /// Another certificate each time, and its key, both PEM.
    pub fn issue(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(NAMES.map(str::to_owned).to_vec()).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A client that offers `alpn`, or nothing where that is empty.
    pub fn client(&self, alpn: &[u8]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = (!alpn.is_empty()).then(|| alpn.to_vec()).into_iter().collect();
        Arc::new(config)
    }
}

pub fn server_name() -> ServerName<'static> {
    ServerName::try_from(NAMES[0]).unwrap()
}

/// The client's half of a connection.
pub struct TlsSession {
    state: Mutex<State>,
    /// Held while records leave, so that they leave in their order.
    order: Mutex<()>,
}

struct State {
    connection: ClientConnection,
    /// Came, and was not looked at yet.
    arrived: Vec<u8>,
}

impl TlsSession {
    pub fn shake_hands(authority: &Authority, stream: &TcpStream, alpn: &[u8]) -> Result<Self> {
        let mut connection = ClientConnection::new(authority.client(alpn), server_name()).map_err(Error::other)?;
        let mut stream = stream;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        assert!(alpn.is_empty() || connection.alpn_protocol() == Some(alpn), "{:?}", connection.alpn_protocol());
        Ok(Self { state: Mutex::new(State { connection, arrived: Vec::new() }), order: Mutex::default() })
    }

    /// An error where the connection ends without a word of TLS.
    pub fn read(&self, mut stream: &TcpStream, out: &mut [u8]) -> Result<usize> {
        loop {
            if let Some(read) = self.state.lock().unwrap().read(out)? {
                return Ok(read);
            }
            let mut piece = vec![0; 16 * 1024];
            let count = stream.read(&mut piece)?;
            let mut state = self.state.lock().unwrap();
            state.arrived.extend_from_slice(&piece[..count]);
            if count == 0 {
                state.connection.read_tls(&mut &[][..])?;
            }
        }
    }

    pub fn write(&self, mut stream: &TcpStream, bytes: &[u8]) -> Result<()> {
        for piece in bytes.chunks(16 * 1024) {
            let _order = self.order.lock().unwrap();
            let records = {
                let connection = &mut self.state.lock().unwrap().connection;
                connection.writer().write_all(piece)?;
                let mut records = Vec::new();
                while connection.wants_write() {
                    connection.write_tls(&mut records)?;
                }
                records
            };
            stream.write_all(&records)?;
        }
        Ok(())
    }
}

impl State {
    /// `None` when more has to come first.
    fn read(&mut self, out: &mut [u8]) -> Result<Option<usize>> {
        loop {
            match self.connection.reader().read(out) {
                Ok(read) => return Ok(Some(read)),
                Err(e) if e.kind() == ErrorKind::WouldBlock && !self.arrived.is_empty() => {
                    let mut rest = &self.arrived[..];
                    self.connection.read_tls(&mut rest)?;
                    let left = rest.len();
                    self.arrived.drain(..self.arrived.len() - left);
                    self.connection.process_new_packets().map_err(Error::other)?;
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }
}
