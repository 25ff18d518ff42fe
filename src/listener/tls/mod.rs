//! TLS in front of HTTP: which certificate a client gets, whether it has to show one itself, and
//! how it resumes its session.

mod client_cert;
mod renewal;
mod rules;
mod store;
mod tickets;

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::server::{Acceptor, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use self::renewal::CertificateInForce;
use self::renewal::{CertificateRenewal, TicketKeyRenewal};
use self::rules::{HostRules, RuleIndex};
use self::store::{Certificates, Store};
pub use self::tickets::TicketKeys;
use self::tickets::Tickets;
use crate::config::{Address, ClientAuth, ClientAuthMode, ListenerTls, TicketKeySource, TlsVersion};
use crate::transport::{ClientAuthRule, ClientTls, Socket, tls_provider};

/// By ALPN (RFC 7301), in the order of our preference.
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// TLS of one listener.
#[derive(Debug)]
pub struct Termination {
    /// One for each [`RuleIndex`].
    configs: Vec<(ClientAuthRule, Arc<ServerConfig>)>,
    hosts: HostRules,
    certificates: CertificateRenewal,
    /// `None` where the process makes the keys.
    ticket_keys: Option<TicketKeyRenewal>,
}

impl Termination {
    /// `place` is the listener's; `auto` are the keys of the process's own.
    ///
    /// # Errors
    /// In words, when rustls refuses what the configuration has accepted.
    pub fn new(tls: &ListenerTls, place: &Address, http2: bool, auto: &Arc<TicketKeys>) -> Result<Self, String> {
        let store = Store::new(tls.certificates.iter().filter_map(|files| files.loaded.as_deref()));
        let certificates = Arc::new(Certificates::new(store.ok_or("there is no certificate")?));
        let (keys, ticket_keys) = match &tls.ticket_keys {
            TicketKeySource::Auto => (Arc::clone(auto), None),
            TicketKeySource::File(file) => {
                let keys = Arc::new(TicketKeys::new(&file.keys));
                (Arc::clone(&keys), Some(TicketKeyRenewal::new(file, keys)))
            }
        };
        let config = |rule: Option<&ClientAuth>| {
            let mut config = server_config(tls.min_version, rule, &certificates)?;
            config.ticketer = Arc::new(Tickets::new(Arc::clone(&keys), binding(place, rule)));
            // Tickets hold everything: nothing is kept for a client that may never come back.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            // What is sent before the end of the handshake can be sent again by anybody (RFC 8470).
            config.max_early_data_size = 0;
            let protocols = if http2 { [HTTP_2, HTTP_1].as_slice() } else { &[HTTP_1] };
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok::<_, String>((rules::identify(rule), Arc::new(config)))
        };
        let configs = rules::all(tls).map(config).collect::<Result<_, _>>()?;
        let certificates = CertificateRenewal::new(&tls.certificates, certificates);
        Ok(Self { configs, hosts: HostRules::new(&tls.hosts), certificates, ticket_keys })
    }

    /// Whether the process makes the ticket keys.
    pub fn uses_own_ticket_keys(&self) -> bool {
        self.ticket_keys.is_none()
    }

    /// The certificates in force, each with its file.
    pub fn certificates(&self) -> Vec<CertificateInForce> {
        self.certificates.in_force()
    }

    /// Says which files this user cannot read again. `of` is the listener, for the log.
    pub fn warn_of_lost_files(&self, of: &dyn Display) {
        self.certificates.warn_of_lost_files(of);
    }

    /// Puts in force what has changed in the files. `of` is the listener, for the log.
    pub fn look_at_files(&self, of: &dyn Display) {
        self.certificates.look(of);
        if let Some(ticket_keys) = &self.ticket_keys {
            ticket_keys.look(of);
        }
    }

    /// The rule that a host has; the listener's own unless it is listed.
    pub fn rule_of(&self, host: &str) -> ClientAuthRule {
        self.configs.get(self.hosts.of(host).0).map(|(rule, _)| *rule).unwrap_or_default()
    }

    /// Shakes hands. The second value is whether the client chose HTTP/2.
    ///
    /// # Errors
    /// Of the socket, and those of the handshake, of which the client is told by an alert.
    pub async fn accept(&self, socket: Socket) -> io::Result<(TlsStream<Socket>, ClientTls, bool)> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        let server_name = start.client_hello().server_name().map(|name| Box::from(store::lower(name)));
        let index = server_name.as_deref().map_or(RuleIndex::default(), |name| self.hosts.of(name));
        let (rule, config) = self.configs.get(index.0).ok_or_else(|| io::Error::other("there is no such rule"))?;
        let stream = start.into_stream(Arc::clone(config)).await?;
        let (_, connection) = stream.get_ref();
        let sent = connection.peer_certificates().unwrap_or_default();
        if connection.handshake_kind() == Some(HandshakeKind::Resumed) && sent.first().is_some_and(|der| is_over(der)) {
            // It was verified when the session began, and a session outlives that.
            return Err(io::Error::other("the client's certificate has expired since its session began"));
        }
        let tls = ClientTls {
            server_name,
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                Some(_) | None => "TLSv1.2",
            },
            client_auth: *rule,
            client_cert: client_cert::describe(sent),
        };
        let http2 = connection.alpn_protocol() == Some(HTTP_2);
        Ok((stream, tls, http2))
    }
}

fn is_over(der: &[u8]) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let until = X509Certificate::from_der(der).map(|(_, certificate)| certificate.validity().not_after.timestamp());
    until.is_ok_and(|until| until < i64::try_from(now).unwrap_or(i64::MAX))
}

fn server_config(
    min_version: TlsVersion,
    rule: Option<&ClientAuth>,
    certificates: &Arc<Certificates>,
) -> Result<ServerConfig, String> {
    let versions: &[&'static SupportedProtocolVersion] = match min_version {
        TlsVersion::V1_2 => &[&version::TLS13, &version::TLS12],
        TlsVersion::V1_3 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(tls_provider()));
    let builder = builder.with_protocol_versions(versions).map_err(|e| e.to_string())?;
    let builder = match rule {
        None => builder.with_no_client_auth(),
        Some(rule) => {
            let roots = rule.roots().map_err(|e| format!("client_auth: {e}"))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(tls_provider()));
            let verifier = match rule.mode {
                ClientAuthMode::Require => verifier,
                ClientAuthMode::Optional => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|e| format!("client_auth: {e}"))?)
        }
    };
    Ok(builder.with_cert_resolver(Arc::<Certificates>::clone(certificates)))
}

/// What tickets are bound to: the rule, and the listener. By its port, so that the processes of a
/// fleet, each of which has an address of its own, take each other's.
fn binding(place: &Address, rule: Option<&ClientAuth>) -> [u8; 32] {
    let place = match place {
        Address::Tcp(address) => format!("tcp {}\0", address.port()),
        Address::Unix(path) => format!("unix {}\0", path.display()),
    };
    let hash = digest(&SHA256, &[b"pingora-proxy tickets\0", place.as_bytes(), &rules::describe(rule)].concat());
    let mut binding = [0; 32];
    binding.copy_from_slice(hash.as_ref());
    binding
}

#[cfg(test)]
mod tests;
