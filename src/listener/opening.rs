//! The first bytes of a connection, from which its protocol is told.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;

use crate::transport::Socket;

/// How much is read at once: a ClientHello with a post-quantum key share has about 1,700 bytes.
const READ: usize = 2048;

/// The start of HTTP/2 (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection without TLS begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleartext {
    Http1,
    Http2,
    /// The connection ended before it said anything.
    Nothing,
}

/// A socket whose first bytes are looked at before anybody reads them.
#[derive(Debug)]
pub struct Opening {
    socket: Socket,
    arrived: BytesMut,
}

impl Opening {
    pub fn new(socket: Socket) -> Self {
        Self { socket, arrived: BytesMut::new() }
    }

    /// What has arrived and was not taken.
    pub fn arrived(&self) -> &[u8] {
        &self.arrived
    }

    /// Waits for more; 0 at the end of the connection.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.arrived.reserve(READ);
        self.socket.read_buf(&mut self.arrived).await
    }

    /// Waits until something has arrived; whether anything has.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn fill_if_empty(&mut self) -> io::Result<bool> {
        Ok(!self.arrived.is_empty() || self.fill().await? > 0)
    }

    /// Takes the first `length` bytes away.
    pub fn take(&mut self, length: usize) {
        self.arrived.advance(length);
    }

    /// Waits for as many bytes as tell HTTP/2 with prior knowledge from everything else.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn cleartext(&mut self) -> io::Result<Cleartext> {
        loop {
            let length = self.arrived.len().min(PREFACE.len());
            if length == PREFACE.len() && self.arrived.starts_with(PREFACE) {
                return Ok(Cleartext::Http2);
            }
            if !PREFACE.starts_with(&self.arrived[..length]) {
                return Ok(Cleartext::Http1);
            }
            if self.fill().await? == 0 {
                return Ok(if self.arrived.is_empty() { Cleartext::Nothing } else { Cleartext::Http1 });
            }
        }
    }

    /// The socket, from which everything that was not taken is read.
    pub fn into_socket(self) -> Socket {
        let mut socket = self.socket;
        socket.unread(self.arrived.freeze());
        socket
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    async fn told(pieces: &[&str]) -> (Cleartext, String) {
        let (ours, mut client) = duplex(4096);
        let mut opening = Opening::new(Socket::from(ours));
        let sending = async {
            for piece in pieces {
                client.write_all(piece.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(client);
        };
        let (told, ()) = tokio::join!(opening.cleartext(), sending);
        let mut rest = String::new();
        opening.into_socket().read_to_string(&mut rest).await.unwrap();
        (told.unwrap(), rest)
    }

    #[tokio::test]
    async fn the_preface_is_told_from_a_request_and_nothing_is_lost() {
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let pieces: Vec<&str> = (0..preface.len()).map(|at| &preface[at..=at]).collect();
        assert_eq!(told(&pieces).await, (Cleartext::Http2, preface.to_owned()));
        assert_eq!(told(&[preface, "frames"]).await, (Cleartext::Http2, format!("{preface}frames")));
        for request in ["GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSN", "P", "\r\n"] {
            assert_eq!(told(&[request]).await, (Cleartext::Http1, request.to_owned()), "{request:?}");
        }
        assert_eq!(told(&["PU", "T / HTTP/1.1\r\n"]).await, (Cleartext::Http1, "PUT / HTTP/1.1\r\n".to_owned()));
        assert_eq!(told(&[]).await, (Cleartext::Nothing, String::new()));
    }
}
