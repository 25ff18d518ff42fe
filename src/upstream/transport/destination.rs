//! Where the connections of an endpoint go, and how one is made.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pingora::{Error, ErrorType, OrErr, Result};
use pingora_core::protocols::TimingDigest;
use pingora_timeout::timeout;
use tokio::io::AsyncWriteExt;

use super::failure::not_selected;
use super::name_addresses::NameAddresses;
use super::proxy_header::{ClientAddress, header};
use super::socket::{connect_tcp, connect_unix};
use super::tls::TlsClient;
use crate::config::{SendProxy, UpstreamProtocol};
use crate::metrics::UpstreamMetrics;
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
    pub protocol: UpstreamProtocol,
    /// The server could have selected HTTP/2 the last time, and did not.
    pub prefers_http1: Arc<AtomicBool>,
    /// What is counted of the upstream.
    pub metrics: Arc<UpstreamMetrics>,
}

/// What is said on a new connection before HTTP.
#[derive(Debug)]
struct Opening {
    /// Of the PROXY protocol.
    header: Vec<u8>,
    offer: Offer,
}

/// A new connection.
#[derive(Debug)]
pub struct Established {
    pub transport: Transport,
    pub selected: Selected,
    /// How long its layers took: the socket, then TLS if there is some.
    pub timing: Vec<Option<TimingDigest>>,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    Http1,
    Http2,
}

/// A connection, and how long its layers took.
type Timed = (Transport, Vec<Option<TimingDigest>>);

/// What a server is offered (ALPN, RFC 7301), the preferred one first.
type Offer = &'static [&'static [u8]];
const HTTP1: Offer = &[b"http/1.1"];
const HTTP2: Offer = &[b"h2"];
const EITHER: Offer = &[b"h2", b"http/1.1"];

impl Destination {
    /// Connects and shakes hands, within `longest` for all of it. `client`: whom the server is
    /// told of, where it is told. `only_http1`: it may not select HTTP/2 where it could.
    ///
    /// # Errors
    /// What went wrong, as Pingora's kinds of connection errors.
    pub async fn connect(
        &self,
        client: Option<ClientAddress>,
        only_http1: bool,
        longest: Option<Duration>,
    ) -> Result<Established> {
        let opening = Opening { header: header(self.send_proxy, client), offer: self.offer(only_http1) };
        let making = self.make(&opening);
        let made = match longest {
            None => making.await,
            Some(longest) => timeout(longest, making).await.unwrap_or_else(|_| {
                Error::e_explain(ErrorType::ConnectTimedout, format!("no connection within {longest:?}"))
            }),
        }?;
        let (transport, timing) = made;
        let selected = self.selected(&transport)?;
        if self.protocol == UpstreamProtocol::Auto && !only_http1 {
            self.prefers_http1.store(selected == Selected::Http1, Ordering::Relaxed);
        }
        Ok(Established { transport, selected, timing })
    }

    fn offer(&self, only_http1: bool) -> Offer {
        match self.protocol {
            UpstreamProtocol::Http1 | UpstreamProtocol::H2c => HTTP1,
            UpstreamProtocol::Http2 => HTTP2,
            UpstreamProtocol::Auto if only_http1 => HTTP1,
            UpstreamProtocol::Auto => EITHER,
        }
    }

    fn selected(&self, made: &Transport) -> Result<Selected> {
        let is_http2 = made.tls().is_some_and(|tls| tls.get_ref().1.alpn_protocol() == Some(b"h2"));
        match self.protocol {
            UpstreamProtocol::Http2 if made.tls().is_some() && !is_http2 => {
                Err(not_selected("TLS was settled without it"))
            }
            UpstreamProtocol::H2c | UpstreamProtocol::Http2 => Ok(Selected::Http2),
            UpstreamProtocol::Auto if is_http2 => Ok(Selected::Http2),
            UpstreamProtocol::Auto | UpstreamProtocol::Http1 => Ok(Selected::Http1),
        }
    }

    async fn make(&self, opening: &Opening) -> Result<Timed> {
        let began = Instant::now();
        match &self.place {
            Place::Tcp(address) => {
                let mut address = *address;
                address.set_port(self.port.unwrap_or(address.port()));
                #[cfg(debug_assertions)]
                panic_for_test(address);
                self.shake_hands(connect_tcp(address).await?.into(), opening, began).await
            }
            Place::Unix(path) => self.shake_hands(connect_unix(path).await?.into(), opening, began).await,
            Place::Name(addresses) => self.connect_to_any(addresses, opening, began).await,
        }
    }

    /// An address at which the handshake fails is left for those that were not tried.
    async fn connect_to_any(&self, addresses: &NameAddresses, opening: &Opening, began: Instant) -> Result<Timed> {
        let mut failed = Vec::new();
        let mut failure = None;
        loop {
            let (place, stream) = match addresses.connect(self.port, &failed).await {
                Ok(made) => made,
                Err(error) => return Err(failure.unwrap_or(error)),
            };
            match self.shake_hands(stream.into(), opening, began).await {
                Ok(made) => {
                    addresses.note(place);
                    return Ok(made);
                }
                Err(error) => {
                    failed.push(place);
                    failure = Some(error);
                }
            }
        }
    }

    /// `began`: when the connection was first tried.
    async fn shake_hands(&self, mut socket: Socket, opening: &Opening, began: Instant) -> Result<Timed> {
        let connected = layer(began);
        socket.write_all(&opening.header).await.or_err(ErrorType::ConnectError, "sending the PROXY header")?;
        let Some(tls) = &self.tls else { return Ok((socket.into(), vec![connected])) };
        let began = Instant::now();
        let stream = tls.handshake(socket, opening.offer).await?;
        Ok((Transport::Tls(Box::new(stream)), vec![connected, layer(began)]))
    }
}

/// A layer of a connection that has just been made.
fn layer(began: Instant) -> Option<TimingDigest> {
    Some(TimingDigest { establishment_duration: Some(began.elapsed()), ..TimingDigest::default() })
}

/// Panics where a test wants to see what a panic costs. No released program does.
#[cfg(debug_assertions)]
fn panic_for_test(address: SocketAddr) {
    static AT: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("PINGORA_PROXY_TEST_PANIC_AT").ok());
    if AT.as_ref().is_some_and(|at| *at == address.to_string()) {
        panic!("a test wants to see a panic");
    }
}
