//! A request of the proxy's own to an upstream, whose answer is read whole: the keys of an issuer,
//! whether a client may pass, or spans for a collector.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use pingora::{Error, ErrorType, Result};
use pingora_core::connectors::http::custom::{Connection as Made, Connector as _};
use pingora_core::protocols::http::custom::client::Session as _;
use pingora_core::upstreams::peer::{HttpPeer, Peer as _};
use pingora_http::{RequestHeader, ResponseHeader};

use super::connector::Connector;
use super::endpoint::Endpoint;
use super::pool::{PickRequest, Pool, Unavailable};
use super::session::Session;
use crate::exchange::Exchange;

/// The largest head of an answer, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;
/// Servers that are asked, one after the other, at most.
const MOST_SERVERS: usize = 2;

/// Why there is no answer.
#[derive(Debug)]
pub enum CallFailure {
    Unavailable(Unavailable),
    Failed(Box<Error>),
    /// The body is longer than the caller takes.
    TooLong,
}

/// What a server is asked.
#[derive(Debug)]
pub struct Question<'q> {
    request: &'q RequestHeader,
    content: Bytes,
    /// Of the answer's body, in bytes.
    longest: usize,
    /// Whether it is sent once at most.
    once: bool,
}

impl<'q> Question<'q> {
    /// A request without a body, whose answer has a body of `longest` bytes at most.
    pub fn new(request: &'q RequestHeader, longest: usize) -> Self {
        Self { request, content: Bytes::new(), longest, once: false }
    }

    /// The same with a body, whose length the head says.
    pub fn with_content(self, content: Bytes) -> Self {
        Self { content, ..self }
    }

    /// Nobody may get it twice: it goes over a new connection, and again only where none could be made.
    pub fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

/// Why a server gave no answer.
enum Unanswered {
    /// No connection could be made.
    Unconnected(Box<Error>),
    /// It may have got the question.
    Lost(Box<Error>),
}

/// Sends a request and reads the whole answer. A caller that stops waiting drops the future, and the
/// connection with it.
///
/// # Errors
/// When there is no whole answer.
pub async fn call(
    connector: &Connector,
    pool: &Arc<Pool>,
    question: Question<'_>,
) -> std::result::Result<(ResponseHeader, Bytes), CallFailure> {
    let mut tried: Vec<Arc<Endpoint>> = Vec::new();
    loop {
        let pick = PickRequest { tried: tried.clone(), ..PickRequest::default() };
        let pick = pool.pick(&pick).map_err(CallFailure::Unavailable)?;
        let peer = pick.endpoint.peer_for(false, !pool.keeps_connections(), || None);
        let (error, is_lost) = match ask(connector, &pick.endpoint, &peer, &question).await {
            Ok(answer) => {
                pool.record_success(&pick.endpoint);
                return answer.ok_or(CallFailure::TooLong);
            }
            Err(Unanswered::Unconnected(error)) => (error, false),
            Err(Unanswered::Lost(error)) => (error, question.once),
        };
        pool.record_failure(&pick.endpoint, &error.etype().as_str().to_lowercase());
        tried.push(Arc::clone(&pick.endpoint));
        if is_lost || tried.len() >= MOST_SERVERS || !pool.has_another(&tried) {
            return Err(CallFailure::Failed(error));
        }
    }
}

/// A connection that has waited may have been closed meanwhile: then a new one is made.
async fn ask(
    connector: &Connector,
    endpoint: &Endpoint,
    peer: &HttpPeer,
    question: &Question<'_>,
) -> std::result::Result<Option<(ResponseHeader, Bytes)>, Unanswered> {
    if !question.once
        && let Some(session) = connector.reused_http_session(peer).await
        && let Ok(answer) = exchange(connector, session, peer, question).await
    {
        return Ok(answer);
    }
    let session = match connector.get_http_session(peer).await.map_err(Unanswered::Unconnected)? {
        (Made::Session(session), _) => session,
        (Made::Stream(_), _) => {
            let why = Error::explain(ErrorType::InternalError, "a connection without a session");
            return Err(Unanswered::Unconnected(why));
        }
    };
    let digest = session.digest().and_then(|digest| digest.socket_digest.as_ref());
    endpoint.note_connection(session.fd(), digest);
    exchange(connector, session, peer, question).await.map_err(Unanswered::Lost)
}

async fn exchange(
    connector: &Connector,
    mut session: Session,
    peer: &HttpPeer,
    question: &Question<'_>,
) -> Result<Option<(ResponseHeader, Bytes)>> {
    let exchange = Arc::new(Exchange::default());
    exchange.limits.set_response_head(LARGEST_HEAD);
    let Question { request, content, longest, .. } = question;
    let mut request = (*request).clone();
    request.extensions_mut().insert(Arc::clone(&exchange));
    session.write_request_header(Box::new(request), content.is_empty()).await?;
    if !content.is_empty() {
        session.write_request_body(content.clone(), true).await?;
    }
    let head = final_head(&mut session).await?;
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_response_body().await? {
        if body.len() + piece.len() > *longest {
            return Ok(None);
        }
        body.extend_from_slice(&piece);
        exchange.download.set_waiting(0, 1);
    }
    connector.release_http_session(session, peer, peer.idle_timeout()).await;
    Ok(Some((head, body.freeze())))
}

async fn final_head(session: &mut Session) -> Result<ResponseHeader> {
    loop {
        session.read_response_header().await?;
        match session.response_header() {
            Some(head) if head.status == 101 => {
                return Error::e_explain(ErrorType::InvalidHTTPHeader, "no final response");
            }
            Some(head) if !head.status.is_informational() => return Ok(head.clone()),
            Some(_) | None => {}
        }
    }
}
