//! Connections to upstreams, as Pingora's loop asks for them: those that wait for a request, and
//! new ones.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::connectors::http::custom::{Connection as Made, Connector as CustomConnector};
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_core::protocols::tls::{ALPN, CustomALPN};
use pingora_core::upstreams::peer::Peer;

use super::http1::{Connection, IdlePool, Session, idle_limit};
use super::transport::Dial;

/// What has Pingora give a peer to [`Connector`]. No server is ever offered it.
pub fn session_of_our_own() -> ALPN {
    static OWN: LazyLock<ALPN> = LazyLock::new(|| ALPN::Custom(CustomALPN::new(b"own".to_vec())));
    OWN.clone()
}

/// The connections of one worker.
#[derive(Debug)]
pub struct Connector {
    idle: Arc<IdlePool>,
}

impl Connector {
    /// At most `most_idle` connections wait for a request.
    pub fn new(most_idle: usize) -> Self {
        Self { idle: IdlePool::new(most_idle) }
    }
}

#[async_trait]
impl CustomConnector for Connector {
    type Session = Session;

    async fn get_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<(Made<Session>, bool)> {
        let dial = Dial::of(peer)?;
        let made = dial.destination.connect(dial.client, peer.total_connection_timeout()).await?;
        Ok((Made::Session(Session::new(Box::new(Connection::new(made)), true)), false))
    }

    async fn reused_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Option<Session> {
        self.idle.take(peer.reuse_hash()).map(|connection| Session::new(connection, false))
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        session: Session,
        peer: &P,
        idle_timeout: Option<Duration>,
    ) {
        // The first response of a connection may say it after the peer was made.
        let said = session.response_header().filter(|_| session.is_first()).and_then(idle_limit);
        let limits = [idle_timeout, said];
        if let Some(connection) = session.into_idle() {
            self.idle.put(peer.reuse_hash(), connection, limits.into_iter().flatten().min());
        }
    }
}
