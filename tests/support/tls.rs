//! Certificates, and clients that speak TLS.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SerialNumber,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, RootCertStore, SignatureScheme, StreamOwned,
    SupportedProtocolVersion, version,
};

use super::{DEADLINE, Folder};

pub const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];

pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key.
pub struct Identity {
    pub certificate: CertificateDer<'static>,
    pub pem: String,
    pub key: KeyPair,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new("authority of the tests")
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.der().clone(), pem: certificate.pem(), key }
    }

    /// For a client.
    pub fn issue_to_client(&self, name: &str) -> Identity {
        self.issue_with(&[name], |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth])
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }
}

impl Identity {
    /// Writes `NAME.pem` and `NAME.key`, the key for its owner alone.
    pub fn write(&self, folder: &Folder, name: &str) {
        let key = folder.write(&format!("{name}.key"), &self.key.serialize_pem());
        std::fs::set_permissions(key, std::fs::Permissions::from_mode(0o600)).unwrap();
        folder.write(&format!("{name}.pem"), &self.pem);
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }
}

/// The files that the examples and the pages for operators name.
pub fn write_examples(folder: &Folder) {
    let authority = Authority::default();
    for name in ["example.com", "example.org"] {
        authority.issue(&[name]).write(folder, name);
    }
    for name in ["clients", "admins"] {
        folder.write(&format!("{name}.pem"), &authority.0.pem());
    }
    folder.write("token", "0123456789-abcdefghij\n");
    folder.write("oidc-cookie-secret", "0123456789-abcdefghijklmnopqrstuvwxyz\n");
    folder.write("oidc-client-secret", "secret\n");
    let keys = folder.write("tickets.keys", &"ab".repeat(32));
    std::fs::set_permissions(keys, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn serial(number: u64) -> Option<SerialNumber> {
    Some(SerialNumber::from(number))
}

/// A client that remembers its sessions.
pub struct TlsClient(pub ClientConfig);

impl TlsClient {
    pub fn new(authority: &Authority) -> Self {
        Self::with(authority, BOTH, None)
    }

    pub fn with(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Identity>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.with_root_certificates(authority.roots());
        Self(match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                builder.with_client_auth_cert(vec![identity.certificate.clone()], identity.private_key()).unwrap()
            }
        })
    }

    /// Accepts a certificate of any name, and sends the name all the same.
    pub fn of_any_name(mut self, authority: &Authority) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(authority.roots()), provider).build().unwrap();
        self.0.dangerous().set_certificate_verifier(Arc::new(AnyName(inner)));
        self
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.0.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    /// One request on a connection of its own.
    pub fn ask(&self, address: SocketAddr, name: &str) -> io::Result<Answer> {
        self.ask_over(TcpStream::connect(address)?, name)
    }

    /// The same over a connection on which something was sent already.
    pub fn ask_over<S: Wait>(&self, stream: S, name: &str) -> io::Result<Answer> {
        self.send_over(stream, name, &format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"))
    }

    /// A request whose response ends the connection. `name` is what the handshake asks for.
    pub fn send(&self, address: SocketAddr, name: &str, request: &str) -> io::Result<Answer> {
        self.send_over(TcpStream::connect(address)?, name, request)
    }

    fn send_over<S: Wait>(&self, stream: S, name: &str, request: &str) -> io::Result<Answer> {
        stream.wait();
        let server_name = ServerName::try_from(name.to_owned()).unwrap();
        let connection = ClientConnection::new(Arc::new(self.0.clone()), server_name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        stream.write_all(request.as_bytes())?;
        let mut text = Vec::new();
        if let Err(e) = stream.read_to_end(&mut text)
            && e.kind() != io::ErrorKind::UnexpectedEof
        {
            return Err(e);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("there was no response"))?;
        let of = &stream.conn;
        Ok(Answer {
            head: head.to_owned(),
            body: body.to_owned(),
            resumed: of.handshake_kind() == Some(HandshakeKind::Resumed),
            certificate: of.peer_certificates().and_then(<[_]>::first).map(|der| der.to_vec()),
            alpn: of.alpn_protocol().map(|alpn| String::from_utf8_lossy(alpn).into_owned()),
            version: format!("{:?}", of.protocol_version().unwrap()),
        })
    }
}

/// A stream that a client may wait on for so long, and no longer.
pub trait Wait: Read + Write {
    fn wait(&self);
}

impl Wait for TcpStream {
    fn wait(&self) {
        self.set_read_timeout(Some(DEADLINE)).unwrap();
    }
}

impl Wait for UnixStream {
    fn wait(&self) {
        self.set_read_timeout(Some(DEADLINE)).unwrap();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub head: String,
    pub body: String,
    pub resumed: bool,
    pub certificate: Option<Vec<u8>>,
    pub alpn: Option<String>,
    pub version: String,
}

impl Answer {
    pub fn is_of(&self, identity: &Identity) -> bool {
        self.certificate.as_deref() == Some(identity.certificate.as_ref())
    }
}

#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
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
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
