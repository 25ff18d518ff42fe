//! Copies of requests to another upstream, whatever becomes of them: a copy never waits
//! for the request, nor the request for its copy.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header;
use pingora::{Error, ErrorType, Result};
use pingora_core::connectors::http::custom::{Connection as Made, Connector as _};
use pingora_core::protocols::http::custom::BodyWrite;
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use pingora_timeout::timeout;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::context::RequestCtx;
use super::select_peer::client_address;
use crate::exchange::Exchange;
use crate::telemetry;
use crate::upstream::{Connector, Pick, PickRequest, Session as UpstreamSession};

/// At most this many copies are under way at once; more are not made.
const MAX_COPIES: usize = 256;
/// At most this many pieces of a body wait for a slow copy, which is then given up.
const MAX_PIECES_QUEUED: usize = 16;
/// A copy must be over within this time, from connecting to the end of the response.
const COPY_TIMEOUT: Duration = Duration::from_secs(60);

/// Connections for copies that wait for the next one, over all upstreams.
const MOST_IDLE: usize = 128;

/// Where pieces of a body are copied to; dropped before its end, the copy is given up.
pub type Copies = Sender<MirrorPiece>;

/// Some bytes of a body, or its end.
#[derive(Debug)]
pub enum MirrorPiece {
    Data(Bytes),
    End,
}

pub struct Mirrors {
    connector: Arc<Connector>,
    under_way: Arc<AtomicUsize>,
}

impl Default for Mirrors {
    fn default() -> Self {
        Self { connector: Arc::new(Connector::new(MOST_IDLE)), under_way: Arc::default() }
    }
}

impl std::fmt::Debug for Mirrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mirrors").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

/// Counts a copy until it is dropped.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Mirrors {
    /// Begins to copy a request, if its route has it copied and it is one of the share;
    /// `upstream`: as it is sent.
    pub fn begin_copy(&self, session: &mut Session, upstream: &RequestHeader, ctx: &RequestCtx) -> Option<Copies> {
        let mirror = ctx.wanted_mirror()?;
        if fastrand::u8(..100) >= mirror.share {
            return None;
        }
        let pick = mirror.pool.try_pick(&PickRequest::default()).ok()?;
        let counted = UnderWay(Arc::clone(&self.under_way));
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= MAX_COPIES {
            log::debug!("mirror {}: too many copies are under way", mirror.pool.name);
            return None;
        }
        let has_body = !session.as_mut().is_body_empty();
        let request = copy_of(upstream, has_body).ok()?;
        let peer = pick.endpoint.peer_for(false, false, || client_address(ctx));
        let most_head = ctx.route()?.limits.response_headers;
        let (sender, pieces) = channel(MAX_PIECES_QUEUED);
        let (connector, name) = (Arc::clone(&self.connector), Arc::clone(&mirror.pool.name));
        tokio::spawn(async move {
            let sent =
                timeout(COPY_TIMEOUT, send(&connector, &pick, &peer, (request, most_head), has_body.then_some(pieces)));
            match telemetry::contain(pin!(sent)).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(e))) => log::debug!("mirror {name}: {e}"),
                Err(panicked) => log::error!("mirror {name}: {panicked}; this copy is given up"),
                Ok(Err(_)) => log::debug!("mirror {name}: no end within {} s", COPY_TIMEOUT.as_secs()),
            }
            drop((pick, counted));
        });
        has_body.then_some(sender)
    }
}

fn copy_of(upstream: &RequestHeader, has_body: bool) -> Result<RequestHeader> {
    let mut request = upstream.clone();
    request.set_version(http::Version::HTTP_11);
    request.remove_header(&header::EXPECT);
    if has_body && !request.headers.contains_key(header::CONTENT_LENGTH) {
        request.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    Ok(request)
}

async fn send(
    connector: &Connector,
    pick: &Pick,
    peer: &HttpPeer,
    (mut request, most_head): (RequestHeader, usize),
    pieces: Option<Receiver<MirrorPiece>>,
) -> Result<()> {
    let mut session = session(connector, pick, peer).await?;
    let exchange = Arc::new(Exchange::default());
    exchange.limits.set_response_head(most_head);
    request.extensions_mut().insert(Arc::clone(&exchange));
    session.write_request_header(Box::new(request), pieces.is_none()).await?;
    match (pieces, session.take_request_body_writer()) {
        (Some(pieces), Some(body)) => {
            tokio::try_join!(feed(body, pieces, &exchange), discard_response(&mut session, &exchange))?;
        }
        (Some(_) | None, _) => discard_response(&mut session, &exchange).await?,
    }
    connector.release_http_session(session, peer, peer.options.idle_timeout).await;
    Ok(())
}

async fn session(connector: &Connector, pick: &Pick, peer: &HttpPeer) -> Result<UpstreamSession> {
    if let Some(session) = connector.reused_http_session(peer).await {
        return Ok(session);
    }
    let (Made::Session(session), _) = connector.get_http_session(peer).await? else {
        return Error::e_explain(ErrorType::InternalError, "a connection without a session");
    };
    let digest = session.digest().and_then(|digest| digest.socket_digest.as_ref());
    pick.endpoint.note_connection(session.fd(), digest);
    Ok(session)
}

/// Writes the body as it comes, no faster than the shadow takes it.
async fn feed(mut body: Box<dyn BodyWrite>, mut pieces: Receiver<MirrorPiece>, exchange: &Exchange) -> Result<()> {
    loop {
        let is_full = |cx: &Context<'_>| exchange.upload.is_full(cx) && !exchange.upload.is_given_up();
        poll_fn(|cx| if is_full(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
        match pieces.recv().await {
            Some(MirrorPiece::Data(mut bytes)) => body.write_all_buf(&mut bytes).await?,
            Some(MirrorPiece::End) => return body.finish().await,
            // Given up: the connection ends here, and the shadow sees that.
            None => return Error::e_explain(ErrorType::ConnectionClosed, "the request was given up"),
        }
    }
}

async fn discard_response(session: &mut UpstreamSession, exchange: &Exchange) -> Result<()> {
    session.read_response_header().await?;
    while session.response_header().is_some_and(|head| head.status.is_informational() && head.status != 101) {
        session.read_response_header().await?;
    }
    while session.read_response_body().await?.is_some() {
        exchange.download.set_waiting(0, 1);
    }
    Ok(())
}

/// Gives a copy this piece of the body, if it can take it now. A body that is given up ends without
/// its end, and so does its copy.
pub fn copy(ctx: &mut RequestCtx, piece: Option<&Bytes>, end: bool) {
    if ctx.mirror.is_some() && ctx.exchange().is_some_and(|exchange| exchange.upload.is_given_up()) {
        ctx.mirror = None;
    }
    let Some(copies) = &ctx.mirror else { return };
    let data = piece.filter(|bytes| !bytes.is_empty()).map(|bytes| MirrorPiece::Data(bytes.clone()));
    let sent = data.into_iter().chain(end.then_some(MirrorPiece::End)).all(|piece| copies.try_send(piece).is_ok());
    if !sent || end {
        ctx.mirror = None;
    }
}
