//! Connections to upstreams for sessions of our own. Pingora makes them and shakes hands on them.

use std::any::Any;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::connectors::http::custom::{Connection as Made, Connector as CustomConnector};
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_core::protocols::tls::{ALPN, CustomALPN};
use pingora_core::upstreams::peer::{HttpPeer, Peer};
use pingora_core::{Error, ErrorType, Result};

use super::connection::Connection;
use super::idle_pool::IdlePool;
use super::response_head::idle_limit;
use super::session::Session;

/// What has Pingora give a peer to [`Connector`]. No server is ever offered it.
pub fn session_of_our_own() -> ALPN {
    static OWN: LazyLock<ALPN> = LazyLock::new(|| ALPN::Custom(CustomALPN::new(b"own".to_vec())));
    OWN.clone()
}

/// The connections of one worker.
pub struct Connector {
    transport: TransportConnector,
    idle: Arc<IdlePool>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

impl Connector {
    pub fn new(options: ConnectorOptions) -> Self {
        let idle = IdlePool::new(options.keepalive_pool_size);
        Self { transport: TransportConnector::new(Some(options)), idle }
    }
}

#[async_trait]
impl CustomConnector for Connector {
    type Session = Session;

    async fn get_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<(Made<Session>, bool)> {
        let stream = if peer.tls() {
            self.transport.new_stream(&offering_http1(peer)?).await?
        } else {
            self.transport.new_stream(peer).await?
        };
        Ok((Made::Session(Session::new(Box::new(Connection::new(stream)), true)), false))
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

/// The peer with the protocol that its server is offered.
fn offering_http1<P: Peer + 'static>(peer: &P) -> Result<HttpPeer> {
    let Some(peer) = (peer as &dyn Any).downcast_ref::<HttpPeer>() else {
        return Error::e_explain(ErrorType::InternalError, "a peer that is no HttpPeer");
    };
    let mut peer = peer.clone();
    peer.options.alpn = ALPN::H1;
    Ok(peer)
}
