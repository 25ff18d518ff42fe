//! Connections to upstreams, as Pingora's loop asks for them: those that take another request, and
//! new ones.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::connectors::http::custom::{Connection as Made, Connector as CustomConnector};
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_core::protocols::tls::{ALPN, CustomALPN};
use pingora_core::upstreams::peer::Peer;
use pingora_core::{Error, ErrorType, Result};
use pingora_timeout::timeout;

use super::http1::{self, IdlePool, idle_limit};
use super::http2::{self, Dialing, Turn};
use super::session::Session;
use super::transport::{Dial, Selected};
use crate::metrics::ConnectionMark;

/// What has Pingora give a peer to [`Connector`]. No server is ever offered it.
pub fn session_of_our_own() -> ALPN {
    static OWN: LazyLock<ALPN> = LazyLock::new(|| ALPN::Custom(CustomALPN::new(b"own".to_vec())));
    OWN.clone()
}

/// The connections of one worker.
#[derive(Debug)]
pub struct Connector {
    /// Of HTTP/1: those that wait for a request.
    idle: Arc<IdlePool>,
    /// Of HTTP/2.
    shared: Arc<http2::Pool>,
}

impl Connector {
    /// At most `most_idle` connections of HTTP/1 wait for a request.
    pub fn new(most_idle: usize) -> Self {
        Self { idle: IdlePool::new(most_idle), shared: Arc::default() }
    }

    /// A place on a connection that another request makes, or a new connection.
    async fn wait_or_dial<P: Peer>(&self, peer: &P, dial: &Dial) -> Result<(Session, bool)> {
        let began = Instant::now();
        loop {
            let waiting = match self.shared.turn(peer.reuse_hash()) {
                Turn::Take(slot) => return Ok((Session::Http2(Box::new(http2::Session::new(slot))), true)),
                Turn::Dial(dialing) => return self.dial(peer, dial, Some(dialing)).await,
                Turn::Wait(waiting) => waiting,
            };
            let was_made = match peer.total_connection_timeout() {
                None => waiting.outcome().await,
                Some(longest) => {
                    let left = longest.saturating_sub(began.elapsed());
                    let outcome = timeout(left, waiting.outcome()).await;
                    outcome.map_err(|_| Error::explain(ErrorType::ConnectTimedout, "waiting for a connection"))?
                }
            };
            if !was_made {
                return self.dial(peer, dial, None).await;
            }
        }
    }

    /// `dialing`: other requests wait for the connection.
    async fn dial<P: Peer>(&self, peer: &P, dial: &Dial, dialing: Option<Dialing>) -> Result<(Session, bool)> {
        let made = dial.connect(peer.total_connection_timeout()).await?;
        let mark = Some(ConnectionMark::new(&dial.destination.metrics));
        match made.selected {
            Selected::Http1 => {
                let mut connection = Box::new(http1::Connection::new(made.transport, made.timing));
                connection.mark = mark;
                Ok((Session::Http1(Box::new(http1::Session::new(connection, true))), false))
            }
            Selected::Http2 => {
                let (key, idle_timeout) = (peer.reuse_hash(), peer.idle_timeout());
                let is_kept = idle_timeout != Some(Duration::ZERO);
                let lease = is_kept.then(|| self.shared.lease(key));
                let connection = http2::begin(made.transport, lease, dialing, idle_timeout, mark).await?;
                let slot = connection.slot();
                if is_kept {
                    self.shared.put(key, &connection);
                }
                match slot {
                    Some(slot) => Ok((Session::Http2(Box::new(http2::Session::first(slot, made.timing))), false)),
                    None => Error::e_explain(ErrorType::ConnectionClosed, "as soon as it was made"),
                }
            }
        }
    }
}

#[async_trait]
impl CustomConnector for Connector {
    type Session = Session;

    async fn get_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<(Made<Session>, bool)> {
        let dial = Dial::of(peer)?;
        let may_share = dial.may_share_connection() && peer.idle_timeout() != Some(Duration::ZERO);
        let (session, reused) = match may_share {
            true => self.wait_or_dial(peer, &dial).await?,
            false => self.dial(peer, &dial, None).await?,
        };
        Ok((Made::Session(session), reused))
    }

    async fn reused_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Option<Session> {
        let key = peer.reuse_hash();
        if let Some(connection) = self.idle.take(key) {
            return Some(Session::Http1(Box::new(http1::Session::new(connection, false))));
        }
        self.shared.take(key).map(|slot| Session::Http2(Box::new(http2::Session::new(slot))))
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        session: Session,
        peer: &P,
        idle_timeout: Option<Duration>,
    ) {
        // A place on a shared connection is given back when the session is dropped.
        let Session::Http1(session) = session else { return };
        // The first response of a connection may say it after the peer was made.
        let said = session.response_header().filter(|_| session.is_first()).and_then(idle_limit);
        let limits = [idle_timeout, said];
        if let Some(connection) = session.into_idle() {
            self.idle.put(peer.reuse_hash(), connection, limits.into_iter().flatten().min());
        }
    }
}
