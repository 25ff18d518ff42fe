//! A connected socket, and what was read from it before its protocol was known.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready};
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

/// What the other end has said of its direction, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherEnd {
    Open,
    /// It sends nothing behind what has arrived.
    Finished,
    /// The connection is gone in both directions.
    Gone,
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

    /// What became of the other end, however much of what it sent was not read. It costs no call of
    /// the system, and wakes nobody when it changes.
    pub fn other_end(&self) -> OtherEnd {
        match self.ready() {
            Some(ready) if ready.is_write_closed() => OtherEnd::Gone,
            Some(ready) if ready.is_read_closed() => OtherEnd::Finished,
            Some(_) | None => OtherEnd::Open,
        }
    }

    fn ready(&self) -> Option<Ready> {
        let either = Interest::READABLE | Interest::WRITABLE;
        let cx = &mut Context::from_waker(Waker::noop());
        let ready = match &self.kind {
            Kind::Tcp(stream) => pin!(stream.ready(either)).poll(cx),
            Kind::Unix(stream) => pin!(stream.ready(either)).poll(cx),
            #[cfg(test)]
            Kind::Memory(_) => Poll::Pending,
        };
        match ready {
            Poll::Ready(Ok(ready)) => Some(ready),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
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
    use std::net::Shutdown;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[test]
    fn the_other_end_is_known_behind_bytes_that_nobody_reads() {
        use std::io::Write;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (is_reset, expected) in [(false, OtherEnd::Finished), (true, OtherEnd::Gone)] {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                let mut other = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let accepted = listener.accept().await.unwrap().0;
                other.write_all(&[b'x'; 1000]).unwrap();
                accepted.readable().await.unwrap();
                let socket = Socket::from(accepted);
                assert_eq!(socket.other_end(), OtherEnd::Open);
                if is_reset {
                    socket2::SockRef::from(&other).set_linger(Some(Duration::ZERO)).unwrap();
                } else {
                    other.shutdown(Shutdown::Write).unwrap();
                }
                let _kept = (!is_reset).then_some(other);
                let changed = async {
                    while socket.other_end() == OtherEnd::Open {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                tokio::time::timeout(Duration::from_secs(20), changed).await.unwrap();
                assert_eq!(socket.other_end(), expected);
            });
        }
    }

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
