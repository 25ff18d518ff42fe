//! How a connector finds out what Pingora's peer stands for. A peer has no field for things of
//! ours but a hook that is meant for CONNECT proxies, which are not used here.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use pingora::{Error, ErrorType, Result};
use pingora_core::upstreams::peer::{Peer, PeerOptions};
use pingora_http::ResponseHeader;

use super::destination::{Destination, Established};
use super::proxy_header::ClientAddress;
use crate::config::UpstreamProtocol;

/// What a connection is made with.
#[derive(Clone, Debug)]
pub struct Dial {
    pub destination: Arc<Destination>,
    /// Whom the server is told of, where it is told.
    pub client: Option<ClientAddress>,
    /// The request asks for an upgrade.
    pub upgrade: bool,
}

impl Dial {
    /// Has [`Self::of`] find it with a peer that has these options.
    pub fn attach(self, options: &mut PeerOptions) {
        options.proxy_digest_user_data_hook = Some(Arc::new(move |_, _| Some(Box::new(self.clone()))));
    }

    /// Whether other requests may use the connection at the same time, as far as is known.
    pub fn may_share_connection(&self) -> bool {
        let Destination { protocol, prefers_http1, .. } = &*self.destination;
        protocol.is_maybe_http2() && !self.only_http1() && !prefers_http1.load(Ordering::Relaxed)
    }

    /// A server that may choose is spoken to in HTTP/1 where that is sure to have tunnels.
    fn only_http1(&self) -> bool {
        self.upgrade && self.destination.protocol == UpstreamProtocol::Auto
    }

    /// # Errors
    /// As [`Destination::connect`].
    pub async fn connect(&self, longest: Option<Duration>) -> Result<Established> {
        self.destination.connect(self.client, self.only_http1(), longest).await
    }

    /// # Errors
    /// When the peer is none of an endpoint's.
    pub fn of(peer: &impl Peer) -> Result<Self> {
        static NOTHING: LazyLock<(http::request::Parts, Option<ResponseHeader>)> =
            LazyLock::new(|| (http::Request::new(()).into_parts().0, ResponseHeader::build(200, Some(0)).ok()));
        let (request, response) = &*NOTHING;
        let attached = peer.proxy_digest_user_data_hook().zip(response.as_ref());
        let dial = attached.and_then(|(hook, response)| hook(request, response)?.downcast().ok());
        match dial {
            Some(dial) => Ok(*dial),
            None => Error::e_explain(ErrorType::InternalError, "a peer that is no endpoint's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::destination::Place;
    use super::*;
    use crate::config::SendProxy;
    use pingora_core::upstreams::peer::HttpPeer;

    #[test]
    fn a_peer_leads_to_its_destination() {
        let address = ([127, 0, 0, 1], 80).into();
        let mut peer = HttpPeer::new(address, false, String::new());
        assert!(Dial::of(&peer).is_err());
        let destination = Arc::new(Destination {
            place: Place::Tcp(address),
            port: None,
            tls: None,
            send_proxy: SendProxy::Off,
            protocol: UpstreamProtocol::Http1,
            prefers_http1: Arc::default(),
            metrics: Arc::default(),
        });
        Dial { destination: Arc::clone(&destination), client: None, upgrade: false }.attach(&mut peer.options);
        assert!(Arc::ptr_eq(&Dial::of(&peer.clone()).unwrap().destination, &destination));
    }
}
