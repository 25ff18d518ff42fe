//! What happens to a connection between accept(2) and its first request: the PROXY header, TLS,
//! and which protocol the client speaks.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use ipnet::IpNet;
use log::Level;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};

use super::opening::{Cleartext, Opening};
use super::proxy_header::{self, NoHeader, Origin};
use super::tls::{CertificateInForce, Termination, TicketKeys};
use crate::config::{Address, ClientTimeouts, Listener};
use crate::metrics::{HandshakeOutcome, ListenerMetrics};
use crate::transport::{ClientAuthRule, ClientTls, Complaints, Socket, TlsStream, Transport};

/// The first byte of a record that begins a handshake (RFC 8446 section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What a client of HTTP is told at a port of HTTPS.
const SPEAKS_HTTPS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 23\r\nConnection: close\r\n\r\nthis port speaks HTTPS\n";
/// For such a client to take its answer.
const LAST_BYTES: Duration = Duration::from_secs(1);
/// What is read of such a client meanwhile: closing with unread bytes would destroy the answer.
const MOST_LAST_BYTES: usize = 64 << 10;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

/// A connection whose first request can be read.
#[derive(Debug)]
pub struct Entered {
    pub transport: Transport,
    /// The client's address, by the PROXY header where one was taken; `None` on a unix socket.
    pub remote: Option<SocketAddr>,
    pub tls: Option<ClientTls>,
    pub protocol: Protocol,
}

/// Why a connection was closed before its first request.
#[derive(Debug)]
pub enum NotEntered {
    /// It ended, or said nothing for too long, before its first byte.
    Silent,
    ProxyHeader(NoHeader),
    SlowProxyHeader,
    Handshake(io::Error),
    SlowHandshake,
    /// A client of HTTP came to a listener with TLS; it was told.
    NoTls,
    /// What came is neither TLS nor HTTP.
    Unknown,
    Io(io::Error),
}

impl fmt::Display for NotEntered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it said nothing"),
            Self::ProxyHeader(reason) => write!(f, "{reason}"),
            Self::SlowProxyHeader => f.write_str("the PROXY header took longer than `timeouts.request_header`"),
            Self::Handshake(e) => write!(f, "TLS: {e}"),
            Self::SlowHandshake => f.write_str("the TLS handshake took longer than `timeouts.tls_handshake`"),
            Self::NoTls => f.write_str("it spoke HTTP without TLS"),
            Self::Unknown => f.write_str("it spoke neither TLS nor HTTP"),
            Self::Io(e) => write!(f, "{e}"),
        }
    }
}

impl NotEntered {
    /// How much an operator minds; `None` where that is not at all.
    fn level(&self) -> Option<Level> {
        match self {
            Self::Silent | Self::Io(_) => None,
            // It comes from a load balancer that the configuration names.
            Self::ProxyHeader(_) | Self::SlowProxyHeader => Some(Level::Warn),
            Self::Handshake(_) | Self::SlowHandshake | Self::NoTls | Self::Unknown => Some(Level::Info),
        }
    }
}

/// The way in of one listener.
#[derive(Debug)]
pub struct Entrance {
    address: Address,
    /// The same as text, for logs.
    name: String,
    /// As the log names it.
    title: String,
    /// Whose connections begin with a PROXY header.
    proxy_header_from: ProxyHeaderFrom,
    tls: Option<Termination>,
    /// Whether a connection without TLS may be one of HTTP/2.
    h2c: bool,
    /// The value of `Strict-Transport-Security` in responses to HTTPS (RFC 6797).
    pub hsts: Option<HeaderValue>,
    /// Whether every request is answered with a redirect to HTTPS.
    pub redirect_https: bool,
    first_bytes: Duration,
    handshake: Duration,
    /// What is counted of it, from one configuration to the next.
    pub metrics: Arc<ListenerMetrics>,
    refused: Complaints,
    /// Apart from the others, so that a flood of those hides no trouble with a load balancer.
    refused_balancers: Complaints,
}

#[derive(Debug)]
enum ProxyHeaderFrom {
    Nobody,
    Networks(Vec<IpNet>),
    Everybody,
}

impl Entrance {
    /// `auto` are the ticket keys of the process's own.
    ///
    /// # Errors
    /// In words, when rustls refuses what the configuration has accepted.
    pub fn compile(listener: &Listener, timeouts: &ClientTimeouts, auto: &Arc<TicketKeys>) -> Result<Self, String> {
        Self::compile_as(format!("the listener {}", listener.address), listener, timeouts, auto)
    }

    /// The same of what is no listener of the configuration. `title` is how the log names it.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn compile_as(
        title: String,
        listener: &Listener,
        timeouts: &ClientTimeouts,
        auto: &Arc<TicketKeys>,
    ) -> Result<Self, String> {
        let Listener { address, tls, http2: _, proxy_protocol, redirect_https, location: _ } = listener;
        let http2 = listener.takes_http2();
        let proxy_header_from = match (proxy_protocol, address) {
            (None, _) => ProxyHeaderFrom::Nobody,
            (Some(proxy_protocol), Address::Tcp(_)) => ProxyHeaderFrom::Networks(proxy_protocol.from.clone()),
            (Some(_), Address::Unix(_)) => ProxyHeaderFrom::Everybody,
        };
        let hsts = tls.as_ref().and_then(|tls| tls.hsts);
        let hsts = hsts.map(|hsts| HeaderValue::try_from(format!("max-age={}", hsts.as_secs())));
        let termination = tls.as_ref().map(|tls| Termination::new(tls, address, http2, auto));
        Ok(Self {
            address: address.clone(),
            name: address.to_string(),
            proxy_header_from,
            tls: termination.transpose().map_err(|e| format!("{title}: {e}"))?,
            title,
            h2c: http2 && tls.is_none(),
            hsts: hsts.transpose().map_err(|e| e.to_string())?,
            redirect_https: *redirect_https,
            first_bytes: timeouts.request_header,
            handshake: timeouts.tls_handshake,
            metrics: Arc::default(),
            refused: Complaints::default(),
            refused_balancers: Complaints::default(),
        })
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its address as text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its clients resume their sessions by keys that the process makes.
    pub fn uses_own_ticket_keys(&self) -> bool {
        self.tls.as_ref().is_some_and(Termination::uses_own_ticket_keys)
    }

    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The certificates in force, each with its file.
    pub fn certificates(&self) -> Vec<CertificateInForce> {
        self.tls.as_ref().map(Termination::certificates).unwrap_or_default()
    }

    /// Says which files of certificates this user cannot read again.
    pub fn warn_of_lost_files(&self) {
        if let Some(tls) = &self.tls {
            tls.warn_of_lost_files(&self.title);
        }
    }

    /// Puts in force what has changed in the files of certificates and ticket keys.
    pub fn look_at_files(&self) {
        if let Some(tls) = &self.tls {
            tls.look_at_files(&self.title);
        }
    }

    /// The rule for client certificates that a host has. A request for it on a connection that was
    /// let in under another one is misdirected.
    pub fn client_auth_of(&self, host: &str) -> ClientAuthRule {
        self.tls.as_ref().map_or(ClientAuthRule::default(), |tls| tls.rule_of(host))
    }

    /// Waits for what comes before the first request. `began` is called once, when the client has
    /// sent something, unless nothing comes before the first request. Why a connection is not let
    /// in is logged here.
    ///
    /// # Errors
    /// Why the connection is closed.
    pub async fn enter(
        &self,
        socket: Socket,
        remote: Option<SocketAddr>,
        began: impl Fn() + Send,
    ) -> Result<Entered, NotEntered> {
        if let (ProxyHeaderFrom::Nobody, None, false) = (&self.proxy_header_from, &self.tls, self.h2c) {
            return Ok(Entered { transport: socket.into(), remote, tls: None, protocol: Protocol::Http1 });
        }
        // The handshake's own state is large, and of no use to a connection that has entered.
        let mut client = remote;
        let entered = Box::pin(self.wait(socket, &mut client, &began)).await;
        if let Err(refused) = &entered {
            self.count(refused);
            self.complain(client, refused);
        }
        entered
    }

    /// `client` becomes the one of the PROXY header as soon as that is known.
    async fn wait(
        &self,
        socket: Socket,
        client: &mut Option<SocketAddr>,
        began: &(impl Fn() + Send),
    ) -> Result<Entered, NotEntered> {
        let mut opening = Opening::new(socket);
        if self.expects_proxy_header(*client) {
            match self.proxy_header(&mut opening, began).await? {
                Origin::Client(address) => *client = Some(address),
                Origin::Peer => {}
            }
        }
        match &self.tls {
            Some(tls) => self.shake_hands(tls, opening, *client, began).await,
            None => self.cleartext(opening, *client, began).await,
        }
    }

    /// Whether somebody at this address tells in a PROXY header who the client is.
    pub fn expects_proxy_header(&self, remote: Option<SocketAddr>) -> bool {
        match (&self.proxy_header_from, remote) {
            (ProxyHeaderFrom::Everybody, _) => true,
            (ProxyHeaderFrom::Networks(networks), Some(remote)) => {
                let ip = remote.ip().to_canonical();
                networks.iter().any(|network| network.contains(&ip))
            }
            (ProxyHeaderFrom::Networks(_), None) | (ProxyHeaderFrom::Nobody, _) => false,
        }
    }

    async fn proxy_header(&self, opening: &mut Opening, began: &impl Fn()) -> Result<Origin, NotEntered> {
        let deadline = Instant::now() + self.first_bytes;
        self.first_byte(opening, deadline, began).await?;
        match timeout_at(deadline, proxy_header::take(opening)).await {
            Ok(taken) => taken.map_err(NotEntered::ProxyHeader),
            Err(_) => Err(NotEntered::SlowProxyHeader),
        }
    }

    /// Waits for a connection to say something.
    async fn first_byte(&self, opening: &mut Opening, deadline: Instant, began: &impl Fn()) -> Result<(), NotEntered> {
        match timeout_at(deadline, opening.fill_if_empty()).await {
            Ok(Ok(true)) => {
                began();
                Ok(())
            }
            Ok(Ok(false)) | Err(_) => Err(NotEntered::Silent),
            Ok(Err(e)) => Err(NotEntered::Io(e)),
        }
    }

    async fn shake_hands(
        &self,
        tls: &Termination,
        mut opening: Opening,
        remote: Option<SocketAddr>,
        began: &impl Fn(),
    ) -> Result<Entered, NotEntered> {
        let deadline = Instant::now() + self.handshake;
        self.first_byte(&mut opening, deadline, began).await?;
        match opening.arrived().first() {
            Some(&HANDSHAKE_RECORD) => {}
            Some(byte) if byte.is_ascii_uppercase() => {
                // It may be gone, or not take it.
                if let Ok(Err(e)) = timeout(LAST_BYTES, say_that_it_is_https(opening.into_socket())).await {
                    log::debug!("{}: {e}", self.address);
                }
                return Err(NotEntered::NoTls);
            }
            Some(_) | None => return Err(NotEntered::Unknown),
        }
        match timeout_at(deadline, tls.accept(opening.into_socket())).await {
            Ok(Ok((stream, tls, http2))) => {
                self.metrics.handshake(HandshakeOutcome::Ok);
                Ok(Entered {
                    transport: Transport::Tls(Box::new(TlsStream::Server(stream))),
                    remote,
                    tls: Some(tls),
                    protocol: if http2 { Protocol::Http2 } else { Protocol::Http1 },
                })
            }
            Ok(Err(e)) => Err(NotEntered::Handshake(e)),
            Err(_) => Err(NotEntered::SlowHandshake),
        }
    }

    async fn cleartext(
        &self,
        mut opening: Opening,
        remote: Option<SocketAddr>,
        began: &impl Fn(),
    ) -> Result<Entered, NotEntered> {
        let mut protocol = Protocol::Http1;
        if self.h2c {
            let deadline = Instant::now() + self.first_bytes;
            self.first_byte(&mut opening, deadline, began).await?;
            match timeout_at(deadline, opening.cleartext()).await {
                Ok(Ok(Cleartext::Http2)) => protocol = Protocol::Http2,
                Ok(Ok(Cleartext::Nothing)) => return Err(NotEntered::Silent),
                // A preface that does not come to its end is no request either, and answered as such.
                Ok(Ok(Cleartext::Http1)) | Err(_) => {}
                Ok(Err(e)) => return Err(NotEntered::Io(e)),
            }
        }
        Ok(Entered { transport: opening.into_socket().into(), remote, tls: None, protocol })
    }

    fn count(&self, refused: &NotEntered) {
        match refused {
            NotEntered::Handshake(_) => self.metrics.handshake(HandshakeOutcome::Failed),
            NotEntered::SlowHandshake => self.metrics.handshake(HandshakeOutcome::Timeout),
            NotEntered::NoTls | NotEntered::Unknown => self.metrics.handshake(HandshakeOutcome::NotTls),
            NotEntered::ProxyHeader(_) | NotEntered::SlowProxyHeader => self.metrics.proxy_header_refused(),
            NotEntered::Silent | NotEntered::Io(_) => {}
        }
    }

    fn complain(&self, client: Option<SocketAddr>, refused: &NotEntered) {
        let what = Complaint { title: &self.title, client, refused };
        match refused.level() {
            Some(level @ Level::Warn) => self.refused_balancers.say(level, module_path!(), &what),
            Some(level) => self.refused.say(level, module_path!(), &what),
            None => log::debug!("{what}"),
        }
    }
}

/// A line of the log, which is made only where it is written.
struct Complaint<'a> {
    title: &'a str,
    client: Option<SocketAddr>,
    refused: &'a NotEntered,
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.title)?;
        match self.client {
            Some(client) => write!(f, "{client}")?,
            None => f.write_str("a client")?,
        }
        write!(f, " was not let in: {}", self.refused)
    }
}

async fn say_that_it_is_https(mut socket: Socket) -> io::Result<()> {
    socket.write_all(SPEAKS_HTTPS).await?;
    socket.shutdown().await?;
    let (mut left, mut piece) = (MOST_LAST_BYTES, [0; 1024]);
    while left > 0 {
        match socket.read(&mut piece).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
