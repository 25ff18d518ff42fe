//! A closed loop: each client sends its next request when its last one was answered, so that
//! the proxy is as busy as it can be.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::http::{Head, request};
use super::outcome::Outcome;
use super::target::{Dialer, Duplex, Target, Wire};
use crate::error::Result;

/// The requests of a workload.
#[derive(Clone, Debug)]
pub struct Shape {
    pub path: &'static str,
    /// The bytes of the request's body.
    pub upload: usize,
    /// The bytes that the response's body must have.
    pub size: usize,
    pub clients: usize,
    pub connections: Connections,
}

/// What happens to a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// It has the next request.
    Kept,
    /// It is closed. With TLS, each one begins a session.
    Fresh,
    /// It is closed, and the next one resumes its TLS session.
    Resumed,
}

impl Shape {
    pub const SMALL: Self = Self { path: "/", upload: 0, size: 60, clients: 32, connections: Connections::Kept };

    pub(super) fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        if self.upload == 0 {
            return request(
                address,
                self.path,
                if self.connections != Connections::Kept { "Connection: close\r\n" } else { "" },
            )
            .into_bytes();
        }
        let head = format!("POST {} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n", self.path, self.upload);
        let mut bytes = head.into_bytes();
        bytes.resize(bytes.len() + self.upload, b'u');
        bytes
    }
}

/// # Errors
/// When there can be no clients at all; what fails later is counted.
pub fn saturate(target: &Target, shape: &Shape, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let began = Instant::now();
        let bytes = std::sync::Arc::new(shape.bytes(target.address));
        let clients: Vec<_> = (0..shape.clients)
            .map(|n| {
                let (shape, bytes, dialer) = (shape.clone(), std::sync::Arc::clone(&bytes), target.dialer(n));
                tokio::spawn(async move { client(&dialer, &shape, &bytes, began + time).await })
            })
            .collect();
        let mut parts = Vec::new();
        for client in clients {
            parts.push(client.await?);
        }
        Ok(Outcome::of(parts, began.elapsed()))
    })
}

async fn client(dialer: &Dialer, shape: &Shape, bytes: &[u8], end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let mut connection: Option<Wire> = None;
    let mut buffer = Vec::with_capacity(64 * 1024);
    while Instant::now() < end {
        let began = Instant::now();
        let asked = async {
            let mut wire = match connection.take() {
                Some(wire) => wire,
                None => dialer.dial().await?,
            };
            let goes_on = exchange(&mut *wire.stream, bytes, shape.size, &mut buffer).await?;
            Ok::<_, std::io::Error>((wire, goes_on))
        };
        match asked.await {
            // A client's first connection, in the warm-up, has no session to resume.
            Ok((wire, _)) if shape.connections == Connections::Resumed && !wire.resumed => outcome.errors += 1,
            Ok((wire, goes_on)) => {
                outcome.note(began.elapsed());
                connection = Some(wire).filter(|_| goes_on && shape.connections == Connections::Kept);
            }
            Err(_) => outcome.errors += 1,
        }
    }
    outcome
}

/// Sends a request and reads its response; returns whether the connection goes on after it.
pub(super) async fn exchange(
    stream: &mut dyn Duplex,
    bytes: &[u8],
    size: usize,
    buffer: &mut Vec<u8>,
) -> std::io::Result<bool> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    buffer.clear();
    let head = loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(head) = Head::parse(buffer)? {
            break head;
        }
    };
    if head.status != 200 || head.body != size {
        return Err(std::io::Error::other("not the answer"));
    }
    let mut left = (head.length + size).checked_sub(buffer.len()).ok_or(std::io::ErrorKind::InvalidData)?;
    while left > 0 {
        buffer.clear();
        let read = stream.read_buf(buffer).await?;
        left = left.checked_sub(read).ok_or(std::io::ErrorKind::InvalidData)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(!head.closes)
}
