//! How a connection to a store is made.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::bounded::Bounded;
use crate::config::{PemFile, RateLimit, StoreAddress, StorePlace};
use crate::transport::{Socket, Transport, system_roots, tls_provider};

/// Sends the requests of a connection and reads the answers; polled for as long as it lives.
pub type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where a store is and how one is let in there.
#[derive(Clone)]
pub struct Destination {
    place: StorePlace,
    login: RedisConnectionInfo,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Destination").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Destination {
    /// # Errors
    /// In words, when the name or a certificate cannot be used.
    pub fn new(address: &StoreAddress, settings: &RateLimit) -> Result<Self, String> {
        let mut login = RedisConnectionInfo::default().set_db(address.database.into()).set_skip_set_lib_name();
        if let Some(user) = &address.user {
            login = login.set_username(user);
        }
        if let Some(password) = settings.store_password() {
            login = login.set_password(&password.0);
        }
        let tls = match &address.place {
            StorePlace::Tcp { host, tls: true, .. } => Some(encryption(host, settings.store_ca.as_ref())?),
            StorePlace::Tcp { .. } | StorePlace::Unix(_) => None,
        };
        Ok(Self { place: address.place.clone(), login, tls })
    }

    /// # Errors
    /// In words.
    pub async fn connect(&self) -> Result<(MultiplexedConnection, Driver), String> {
        let transport = self.transport().await.map_err(|e| e.to_string())?;
        // Whoever asks has a deadline of his own.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(&self.login, Bounded::new(transport), config).await;
        let (connection, driver) = made.map_err(|e| e.to_string())?;
        Ok((connection, Box::pin(driver)))
    }

    async fn transport(&self) -> std::io::Result<Transport> {
        let socket: Socket = match &self.place {
            StorePlace::Unix(path) => UnixStream::connect(path).await?.into(),
            StorePlace::Tcp { host, port, .. } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                stream.into()
            }
        };
        match &self.tls {
            None => Ok(socket.into()),
            Some((connector, name)) => {
                Ok(Transport::Tls(Box::new(connector.connect(name.clone(), socket).await?.into())))
            }
        }
    }
}

fn encryption(host: &str, ca: Option<&PemFile>) -> Result<(TlsConnector, ServerName<'static>), String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name of a certificate"))?;
    let roots = match ca {
        None => system_roots(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for der in &file.der {
                let added = roots.add(CertificateDer::from(der.clone()));
                added.map_err(|e| format!("{}: {e}", file.path.display()))?;
            }
            Arc::new(roots)
        }
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(tls_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    Ok((Arc::new(config).into(), name))
}
