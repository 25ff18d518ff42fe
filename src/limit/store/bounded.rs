//! A connection to a store that is not read without end: an answer is short, and whatever else a
//! store sends, or something that is none, would lie in memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// For whatever comes before anything was asked, in bytes.
const FIRST: usize = 64 * 1024;
/// What may come for each byte that was sent: of a question it is more than a hundred.
const FOR_EACH: usize = 16;

#[derive(Debug)]
pub struct Bounded<S> {
    stream: S,
    /// What may still come, in bytes.
    left: usize,
}

impl<S> Bounded<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, left: FIRST }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        match self.left.checked_sub(buf.filled().len() - before) {
            Some(left) => self.left = left,
            None => {
                let message = "the store sends more than it was asked for";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.left = self.left.saturating_add(written.saturating_mul(FOR_EACH)).min(FIRST);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn what_nobody_asked_for_is_not_read_without_end() {
        let (mut store, stream) = duplex(FIRST * 4);
        let mut stream = Bounded::new(stream);
        let mut came = vec![0; FIRST];
        store.write_all(&vec![b'x'; FIRST]).await.unwrap();
        stream.read_exact(&mut came).await.unwrap();
        // A question makes room for its answer.
        stream.write_all(&[b'q'; 100]).await.unwrap();
        store.write_all(&[b'a'; 100]).await.unwrap();
        stream.read_exact(&mut came[..100]).await.unwrap();
        store.write_all(&vec![b'x'; FIRST]).await.unwrap();
        assert_eq!(stream.read_exact(&mut came).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
