//! A connected socket, and what was read from it before its protocol was known.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::read_gate::ReadGate;

/// A socket that is read from where [`Self::unread`] put something back.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    gate: ReadGate,
    unread: Bytes,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self { kind: Kind::Tcp(stream), unread: Bytes::new(), gate: ReadGate::default() }
    }
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self { kind: Kind::Unix(stream), unread: Bytes::new(), gate: ReadGate::default() }
    }
}

#[cfg(test)]
impl From<tokio::io::DuplexStream> for Socket {
    fn from(stream: tokio::io::DuplexStream) -> Self {
        Self { kind: Kind::Memory(stream), unread: Bytes::new(), gate: ReadGate::default() }
    }
}

impl Socket {
    /// Has `bytes` be read once more, before anything else.
    pub fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// The other end; `None` on a unix socket, and when it is gone.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(stream) => stream.peer_addr().ok(),
            Kind::Unix(_) => None,
            #[cfg(test)]
            Kind::Memory(_) => None,
        }
    }

    /// Our end; `None` on a unix socket, and when the connection is gone.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.kind {
            Kind::Tcp(stream) => stream.local_addr().ok(),
            Kind::Unix(_) => None,
            #[cfg(test)]
            Kind::Memory(_) => None,
        }
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        match &self.kind {
            Kind::Tcp(stream) => stream.as_raw_fd(),
            Kind::Unix(stream) => stream.as_raw_fd(),
            #[cfg(test)]
            Kind::Memory(_) => -1,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let length = this.unread.len().min(buf.remaining());
            buf.put_slice(&this.unread[..length]);
            this.unread.advance(length);
            if this.unread.is_empty() {
                // An empty rest would keep the whole buffer to the end of the connection.
                this.unread = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        if !this.gate.is_open(cx) {
            return Poll::Pending;
        }
        let mut cx = this.gate.context();
        let read = match &mut this.kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_read(&mut cx, buf),
            Kind::Unix(stream) => Pin::new(stream).poll_read(&mut cx, buf),
            #[cfg(test)]
            Kind::Memory(stream) => Pin::new(stream).poll_read(&mut cx, buf),
        };
        this.gate.set_waits(read.is_pending());
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Kind::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(test)]
            Kind::Memory(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Kind::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            #[cfg(test)]
            Kind::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket holds nothing back.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().kind {
            Kind::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(test)]
            Kind::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn what_was_put_back_is_read_first() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let (ours, mut other) = UnixStream::pair().unwrap();
            let mut socket = Socket::from(ours);
            socket.unread(Bytes::from_static(b"first "));
            other.write_all(b"second").await.unwrap();
            drop(other);
            let mut part = [0; 4];
            socket.read_exact(&mut part).await.unwrap();
            let mut rest = String::new();
            socket.read_to_string(&mut rest).await.unwrap();
            assert_eq!((&part, rest.as_str()), (b"firs", "t second"));
        });
    }
}
