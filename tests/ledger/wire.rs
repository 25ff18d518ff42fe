//! A client and an origin that keep books: every request has a number, every body
//! follows from its number, nothing is tried twice.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::support::client_tls::{AUTHORITY, server_name};
use super::support::front::Front;

/// For one answer of a request that is not meant to be slow.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a client can lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Loss {
    Refused,
    Reset,
    /// The connection ended where an answer was due.
    Closed,
    Truncated,
    ServerError,
    Mismatch,
    Duplicated,
    /// Sent, answered with 200, and not in the origin's book.
    Missing,
    /// The proxy said that it had not taken the request, and the origin has seen it.
    TakenBack,
    Silent,
    /// A second longer than the bystander's.
    OverOneSecond,
}

/// The body of a number: no two pieces of it are alike.
pub fn body(number: u64, length: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(length + 8);
    while out.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(length);
    out
}

pub struct Answer {
    pub body: Vec<u8>,
    /// The server will take no further request on this connection.
    pub last: bool,
}

/// The bytes of a connection, in the clear or over TLS.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

pub async fn connect(address: SocketAddr, front: Front) -> Result<Box<dyn Bytes>, Loss> {
    let stream = TcpStream::connect(address).await.map_err(|_| Loss::Refused)?;
    stream.set_nodelay(true).map_err(|_| Loss::Reset)?;
    if !front.is_tls() {
        return Ok(Box::new(stream));
    }
    let connector = tokio_rustls::TlsConnector::from(AUTHORITY.client(front.alpn()));
    let shaken = tokio::time::timeout(PATIENCE, connector.connect(server_name(), stream)).await;
    Ok(Box::new(shaken.map_err(|_| Loss::Silent)?.map_err(|_| Loss::Reset)?))
}

/// A connection of HTTP/1.
pub struct Client {
    stream: Box<dyn Bytes>,
    buffer: Vec<u8>,
}

impl Client {
    pub fn new(stream: Box<dyn Bytes>) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Loss> {
        self.stream.write_all(bytes).await.map_err(|_| Loss::Reset)?;
        self.stream.flush().await.map_err(|_| Loss::Reset)
    }

    /// `Ok(0)` at the end.
    async fn fill(&mut self) -> Result<usize, Loss> {
        let mut chunk = [0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await.map_err(|_| Loss::Silent)?;
        let read = read.map_err(|_| if self.buffer.is_empty() { Loss::Reset } else { Loss::Truncated })?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read)
    }

    /// The status line and fields, lower case.
    pub async fn head(&mut self) -> Result<(u16, String), Loss> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            if self.fill().await? == 0 {
                return Err(if self.buffer.is_empty() { Loss::Closed } else { Loss::Truncated });
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
        self.buffer.drain(..end + 4);
        let status = head.get(9..12).and_then(|s| s.parse().ok()).ok_or(Loss::Mismatch)?;
        Ok((status, head))
    }

    pub async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Loss> {
        while self.buffer.len() < length {
            if self.fill().await? == 0 {
                return Err(Loss::Truncated);
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    pub async fn answer(&mut self) -> Result<Answer, Loss> {
        let (status, head) = self.head().await?;
        if status >= 500 {
            return Err(Loss::ServerError);
        }
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let body = self.exactly(length).await?;
        if status != 200 {
            return Err(Loss::Mismatch);
        }
        Ok(Answer { body, last: head.lines().any(|l| l == "connection: close") })
    }
}

/// What the origin notes.
#[derive(Debug, Default)]
pub struct Notes {
    /// How often each POST arrived whole.
    pub posts: HashMap<u64, u32>,
    /// Every request whose head came.
    pub begun: HashSet<u64>,
}

pub type Book = Arc<Mutex<Notes>>;

/// `GET /get/NUMBER/LENGTH/PAUSE_MS`, `POST /post/NUMBER`, `GET /tunnel`.
pub struct Origin {
    pub address: SocketAddr,
    pub book: Book,
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book: Book = Arc::default();
        let theirs = book.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).ok();
                tokio::spawn(serve(Client::new(Box::new(stream)), theirs.clone()));
            }
        });
        Self { address, book }
    }
}

async fn serve(mut peer: Client, book: Book) -> Option<()> {
    loop {
        let end = loop {
            if let Some(at) = peer.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at;
            }
            let mut chunk = [0; 4096];
            let read = peer.stream.read(&mut chunk).await.ok().filter(|n| *n > 0)?;
            peer.buffer.extend_from_slice(&chunk[..read]);
        };
        let head = String::from_utf8_lossy(&peer.buffer[..end]).to_lowercase();
        peer.buffer.drain(..end + 4);
        let path: Vec<&str> = head.split(' ').nth(1)?.split('/').skip(1).collect();
        match path.as_slice() {
            ["get", number, length, pause] => {
                let (number, length): (u64, usize) = (number.parse().ok()?, length.parse().ok()?);
                let pause: u64 = pause.parse().ok()?;
                book.lock().unwrap().begun.insert(number);
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await.ok()?;
                for piece in body(number, length).chunks(if pause > 0 { 1024 } else { length.max(1) }) {
                    peer.send(piece).await.ok()?;
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }
            ["post", number] => {
                let number: u64 = number.parse().ok()?;
                book.lock().unwrap().begun.insert(number);
                let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok())?;
                let whole = peer.exactly(length).await.ok()? == body(number, length);
                *book.lock().unwrap().posts.entry(number).or_default() += 1;
                let text = format!("{number} {whole}");
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
                peer.send(answer.as_bytes()).await.ok()?;
            }
            ["tunnel"] => {
                let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
                peer.send(switch).await.ok()?;
                let mut rest = std::mem::take(&mut peer.buffer);
                loop {
                    peer.send(&rest).await.ok()?;
                    rest.resize(4096, 0);
                    let read = peer.stream.read(&mut rest).await.ok().filter(|n| *n > 0)?;
                    rest.truncate(read);
                }
            }
            _ => return None,
        }
    }
}
