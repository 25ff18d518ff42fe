//! One client of the ledger: what it asks, whatever it speaks.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;

use super::http2::{Http2, NotAnswered, Tunnel};
use super::support::front::Front;
use super::wire::{self, Client as Http1, Loss, body};

/// So many requests of a busy client of HTTP/2 are under way at once.
pub const STREAMS: u64 = 4;

/// A connection.
pub enum Client {
    Http1(Http1),
    Http2(Http2),
}

/// Whether the connection takes another request.
pub type GoesOn = bool;

impl Client {
    pub async fn connect(address: SocketAddr, front: Front) -> Result<Self, Loss> {
        if front.is_http2() {
            return Ok(Self::Http2(Http2::connect(address, front).await?));
        }
        Ok(Self::Http1(Http1::new(wire::connect(address, front).await?)))
    }

    pub async fn get(&mut self, number: u64, length: usize, pause: u64) -> Result<GoesOn, NotAnswered> {
        match self {
            Self::Http2(client) => client.get(number, length, pause).await.map(|()| true),
            Self::Http1(client) => {
                let head = format!("GET /get/{number}/{length}/{pause} HTTP/1.1\r\nHost: a\r\n\r\n");
                client.send(head.as_bytes()).await?;
                Ok(whole(client, number, length).await?)
            }
        }
    }

    /// Of each number, at once where the protocol has streams.
    pub async fn get_all(&mut self, numbers: &[u64], length: usize) -> Vec<Result<GoesOn, NotAnswered>> {
        if let Self::Http2(client) = self {
            let answers = join_all(numbers.iter().map(|number| client.get(*number, length, 0))).await;
            return answers.into_iter().map(|answer| answer.map(|()| true)).collect();
        }
        let mut answers = Vec::new();
        for number in numbers {
            answers.push(self.get(*number, length, 0).await);
        }
        answers
    }

    /// The head in two halves, seconds apart. A client of HTTP/2 has no halves: it asks whole.
    pub async fn half(&mut self, number: u64) -> Result<GoesOn, NotAnswered> {
        let Self::Http1(client) = self else { return self.get(number, 300, 0).await };
        client.send(format!("GET /get/{number}/300/0 HTTP/1.1\r\nHo").as_bytes()).await?;
        tokio::time::sleep(Duration::from_millis(1000 + number % 7 * 300)).await;
        client.send(b"st: a\r\n\r\n").await?;
        Ok(whole(client, number, 300).await?)
    }

    pub async fn post(&mut self, number: u64, length: usize, over: Duration) -> Result<GoesOn, NotAnswered> {
        let client = match self {
            Self::Http2(client) => return client.post(number, length, over).await.map(|()| true),
            Self::Http1(client) => client,
        };
        let head = format!("POST /post/{number} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        client.send(head.as_bytes()).await?;
        let body = body(number, length);
        let pieces = body.chunks(1024);
        let pause = over / u32::try_from(pieces.len()).unwrap();
        for piece in pieces {
            client.send(piece).await?;
            tokio::time::sleep(pause).await;
        }
        let answer = client.answer().await?;
        if answer.body == format!("{number} true").as_bytes() { Ok(!answer.last) } else { Err(Loss::Mismatch.into()) }
    }

    pub async fn tunnel(self) -> Result<Echoes, NotAnswered> {
        let mut client = match self {
            Self::Http2(client) => {
                let tunnel = client.tunnel().await?;
                return Ok(Echoes::Http2(tunnel, client));
            }
            Self::Http1(client) => client,
        };
        let head = "GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.send(head.as_bytes()).await?;
        if client.head().await?.0 == 101 { Ok(Echoes::Http1(client)) } else { Err(Loss::Mismatch.into()) }
    }
}

async fn whole(client: &mut Http1, number: u64, length: usize) -> Result<GoesOn, Loss> {
    let answer = client.answer().await?;
    if answer.body == body(number, length) { Ok(!answer.last) } else { Err(Loss::Mismatch) }
}

/// A tunnel whose other end sends back what it gets. That of HTTP/2 holds its connection.
pub enum Echoes {
    Http1(Http1),
    Http2(Tunnel, #[allow(dead_code)] Http2),
}

impl Echoes {
    pub async fn echo(&mut self, bytes: &[u8]) -> Result<(), Loss> {
        let came = match self {
            Self::Http1(client) => {
                client.send(bytes).await?;
                client.exactly(bytes.len()).await?
            }
            Self::Http2(tunnel, _) => {
                tunnel.send(bytes).await?;
                tunnel.exactly(bytes.len()).await?
            }
        };
        if came == bytes { Ok(()) } else { Err(Loss::Mismatch) }
    }
}
