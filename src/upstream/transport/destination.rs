//! Where the connections of an endpoint go, and how one is made.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pingora::{Error, ErrorType, OrErr, Result};
use pingora_timeout::timeout;
use tokio::io::AsyncWriteExt;

use super::name_addresses::NameAddresses;
use super::proxy_header::{ClientAddress, header};
use super::socket::{connect_tcp, connect_unix};
use super::tls::TlsClient;
use crate::config::SendProxy;
use crate::transport::{Socket, Transport};

#[derive(Clone, Debug)]
pub enum Place {
    Tcp(SocketAddr),
    /// Any address of a name.
    Name(Arc<NameAddresses>),
    Unix(PathBuf),
}

/// What is true of all connections to an endpoint.
#[derive(Clone, Debug)]
pub struct Destination {
    pub place: Place,
    /// Another port than the place's own.
    pub port: Option<u16>,
    pub tls: Option<TlsClient>,
    /// What a connection begins with.
    pub send_proxy: SendProxy,
}

impl Destination {
    /// Connects and shakes hands, within `longest` for all of it. `client`: whom the server is
    /// told of, where it is told.
    ///
    /// # Errors
    /// What went wrong, as Pingora's kinds of connection errors.
    pub async fn connect(&self, client: Option<ClientAddress>, longest: Option<Duration>) -> Result<Transport> {
        let header = header(self.send_proxy, client);
        let Some(longest) = longest else { return self.make(&header).await };
        match timeout(longest, self.make(&header)).await {
            Ok(made) => made,
            Err(_) => Error::e_explain(ErrorType::ConnectTimedout, format!("no connection within {longest:?}")),
        }
    }

    async fn make(&self, header: &[u8]) -> Result<Transport> {
        match &self.place {
            Place::Tcp(address) => {
                let mut address = *address;
                address.set_port(self.port.unwrap_or(address.port()));
                self.shake_hands(connect_tcp(address).await?.into(), header).await
            }
            Place::Unix(path) => self.shake_hands(connect_unix(path).await?.into(), header).await,
            Place::Name(addresses) => self.connect_to_any(addresses, header).await,
        }
    }

    /// An address at which the handshake fails is left for those that were not tried.
    async fn connect_to_any(&self, addresses: &NameAddresses, header: &[u8]) -> Result<Transport> {
        let mut failed = Vec::new();
        let mut failure = None;
        loop {
            let (place, stream) = match addresses.connect(self.port, &failed).await {
                Ok(made) => made,
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            match self.shake_hands(stream.into(), header).await {
                Ok(transport) => {
                    addresses.note(place);
                    return Ok(transport);
                }
                Err(error) => {
                    failed.push(place);
                    failure = Some(error);
                }
            }
        }
    }

    async fn shake_hands(&self, mut socket: Socket, header: &[u8]) -> Result<Transport> {
        socket.write_all(header).await.or_err(ErrorType::ConnectError, "sending the PROXY header")?;
        let Some(tls) = &self.tls else { return Ok(socket.into()) };
        Ok(Transport::Tls(Box::new(tls.handshake(socket, &[b"http/1.1"]).await?)))
    }
}
