//! A connection of HTTP/2 that keeps books: what the proxy did not take, and said so, is told from
//! what it lost.

use std::net::SocketAddr;
use std::time::Duration;

use h2::client::{ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};

use super::support::front::Front;
use super::wire::{self, Loss, PATIENCE, body};

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAnswered {
    Lost(Loss),
    /// Another connection may try again (RFC 9113 section 8.7).
    NotTaken,
}

impl From<Loss> for NotAnswered {
    fn from(loss: Loss) -> Self {
        Self::Lost(loss)
    }
}

/// What follows the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    Body(usize),
    WebSocket,
}

#[derive(Clone)]
pub struct Http2 {
    scheme: &'static str,
    requests: SendRequest<bytes::Bytes>,
}

impl Http2 {
    pub async fn connect(address: SocketAddr, front: Front) -> Result<Self, Loss> {
        let stream = wire::connect(address, front).await?;
        let (requests, connection) = h2::client::handshake(stream).await.map_err(|_| Loss::Reset)?;
        tokio::spawn(async move { connection.await.ok() });
        Ok(Self { scheme: front.scheme(), requests })
    }

    async fn begin(
        &self,
        method: &str,
        path: &str,
        rest: Rest,
    ) -> Result<(ResponseFuture, SendStream<bytes::Bytes>), NotAnswered> {
        let mut request = Request::builder().method(method).uri(format!("{}://a{path}", self.scheme)).body(()).unwrap();
        match rest {
            Rest::Nothing => {}
            Rest::Body(length) => drop(request.headers_mut().insert("content-length", length.into())),
            Rest::WebSocket => drop(request.extensions_mut().insert(Protocol::from("websocket"))),
        }
        // Nothing was sent on a connection that ended meanwhile.
        let mut requests = self.requests.clone().ready().await.map_err(|_| NotAnswered::NotTaken)?;
        requests.send_request(request, rest == Rest::Nothing).map_err(|_| NotAnswered::NotTaken)
    }

    pub async fn get(&self, number: u64, length: usize, pause: u64) -> Result<(), NotAnswered> {
        let (response, _) = self.begin("GET", &format!("/get/{number}/{length}/{pause}"), Rest::Nothing).await?;
        let came = rest(head(response).await?).await?;
        if came == body(number, length) { Ok(()) } else { Err(Loss::Mismatch.into()) }
    }

    /// A body that takes this long to send.
    pub async fn post(&self, number: u64, length: usize, over: Duration) -> Result<(), NotAnswered> {
        let (response, mut stream) = self.begin("POST", &format!("/post/{number}"), Rest::Body(length)).await?;
        let body = body(number, length);
        let pieces: Vec<_> = body.chunks(1024).collect();
        let pause = over / u32::try_from(pieces.len()).unwrap();
        for (index, piece) in pieces.iter().enumerate() {
            // Why it is not taken, the response tells.
            if stream.send_data(bytes::Bytes::copy_from_slice(piece), index + 1 == pieces.len()).is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let answer = rest(head(response).await?).await?;
        if answer == format!("{number} true").as_bytes() { Ok(()) } else { Err(Loss::Mismatch.into()) }
    }

    /// A WebSocket (RFC 8441).
    pub async fn tunnel(&self) -> Result<Tunnel, NotAnswered> {
        let (response, sending) = self.begin("CONNECT", "/tunnel", Rest::WebSocket).await?;
        let response = head(response).await?;
        Ok(Tunnel { sending, receiving: response.into_body(), buffer: Vec::new() })
    }
}

async fn head(response: ResponseFuture) -> Result<Response<RecvStream>, NotAnswered> {
    match tokio::time::timeout(PATIENCE, response).await {
        Err(_) => Err(Loss::Silent.into()),
        Ok(Ok(response)) if response.status().is_server_error() => Err(Loss::ServerError.into()),
        Ok(Ok(response)) if response.status() != 200 => Err(Loss::Mismatch.into()),
        Ok(Ok(response)) => Ok(response),
        Ok(Err(e)) if e.reason() == Some(Reason::REFUSED_STREAM) => Err(NotAnswered::NotTaken),
        Ok(Err(e)) if e.is_go_away() && e.reason() == Some(Reason::NO_ERROR) => Err(NotAnswered::NotTaken),
        Ok(Err(_)) => Err(Loss::Reset.into()),
    }
}

async fn rest(response: Response<RecvStream>) -> Result<Vec<u8>, Loss> {
    let (mut receiving, mut whole) = (response.into_body(), Vec::new());
    while let Some(piece) = piece(&mut receiving).await? {
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

/// `None` at the end.
async fn piece(receiving: &mut RecvStream) -> Result<Option<bytes::Bytes>, Loss> {
    let piece = tokio::time::timeout(PATIENCE, receiving.data()).await.map_err(|_| Loss::Silent)?;
    let Some(piece) = piece.transpose().map_err(|_| Loss::Truncated)? else { return Ok(None) };
    receiving.flow_control().release_capacity(piece.len()).map_err(|_| Loss::Truncated)?;
    Ok(Some(piece))
}

/// What goes through is echoed.
pub struct Tunnel {
    sending: SendStream<bytes::Bytes>,
    receiving: RecvStream,
    buffer: Vec<u8>,
}

impl Tunnel {
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Loss> {
        self.sending.send_data(bytes::Bytes::copy_from_slice(bytes), false).map_err(|_| Loss::Reset)
    }

    pub async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Loss> {
        while self.buffer.len() < length {
            let piece = piece(&mut self.receiving).await?.ok_or(Loss::Truncated)?;
            self.buffer.extend_from_slice(&piece);
        }
        Ok(self.buffer.drain(..length).collect())
    }
}
