//! What was written for a connection and is not sent yet. Small writes leave together, large
//! pieces go out from where they are, and each is dropped once it was sent.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Up to here a piece is copied, so that it leaves with the head in front of it.
const SMALL: usize = 2 * 1024;
/// Of a buffer, while a connection is idle.
pub(super) const KEPT: usize = 1024;
/// How many pieces one call of the kernel takes.
const SLICES: usize = 16;

/// What waits for the other end to take it, and how much of it that took.
#[derive(Debug, Default)]
pub struct Output {
    pieces: VecDeque<Bytes>,
    /// The bytes of all `pieces`.
    in_pieces: usize,
    /// Small writes, behind all of `pieces`.
    gathered: BytesMut,
    /// Something was sent that the stream may still hold.
    unflushed: bool,
    /// How much was taken since this was last asked.
    taken: usize,
    /// The other end took too long: nothing more is written.
    given_up: bool,
}

impl Output {
    /// The place for what is small: heads, and what frames a piece.
    pub fn gathered(&mut self) -> &mut BytesMut {
        &mut self.gathered
    }

    pub fn push(&mut self, piece: Bytes) {
        if piece.len() <= SMALL {
            self.gathered.extend_from_slice(&piece);
            return;
        }
        self.in_pieces += self.gathered.len() + piece.len();
        if !self.gathered.is_empty() {
            self.pieces.push_back(self.gathered.split().freeze());
        }
        self.pieces.push_back(piece);
    }

    /// How much was taken since this was last asked.
    pub fn take_taken(&mut self) -> usize {
        std::mem::take(&mut self.taken)
    }

    /// Nothing more is sent on this connection.
    pub fn give_up(&mut self) {
        *self = Self { given_up: true, ..Self::default() };
    }

    /// # Errors
    /// Once the other end was given up.
    pub fn check(&self) -> io::Result<()> {
        if self.given_up { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Gives large buffers back while nothing is going on.
    pub fn shrink(&mut self) {
        if self.gathered.is_empty() && self.gathered.capacity() > KEPT {
            self.gathered = BytesMut::new();
        }
        self.pieces = VecDeque::new();
    }

    /// How many bytes wait to be sent. What the stream still holds, as TLS does, counts as one: its
    /// number is not known, and it is sent by nobody else.
    pub fn waiting(&self) -> usize {
        self.in_pieces + self.gathered.len() + usize::from(self.unflushed)
    }

    fn is_empty(&self) -> bool {
        self.gathered.is_empty() && self.pieces.is_empty()
    }

    /// Ready once everything is sent.
    pub fn poll_send(&mut self, to: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let sent = ready!(self.poll_write(to, cx))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
            self.taken += sent;
            self.drop_sent(sent);
        }
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(&self, to: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.pieces.is_empty() {
            return Pin::new(to).poll_write(cx, &self.gathered);
        }
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        let parts = self.pieces.iter().map(AsRef::as_ref).chain(Some(self.gathered.as_ref()));
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part);
            count += 1;
        }
        Pin::new(to).poll_write_vectored(cx, &slices[..count])
    }

    fn drop_sent(&mut self, mut sent: usize) {
        while let Some(first) = self.pieces.front_mut() {
            if sent < first.len() {
                self.in_pieces -= sent;
                return first.advance(sent);
            }
            sent -= first.len();
            self.in_pieces -= first.len();
            self.pieces.pop_front();
        }
        if sent == self.gathered.len() { self.gathered.clear() } else { self.gathered.advance(sent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, duplex};

    #[test]
    fn what_was_pushed_leaves_in_its_order_and_is_dropped_as_it_goes() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = duplex(3000);
            let (mut output, mut to) = (Output::default(), server);
            let large = |byte: u8| Bytes::from(vec![byte; 5000]);
            output.gathered().extend_from_slice(b"head");
            for byte in [b'a', b'b'] {
                output.push(large(byte));
                output.push(Bytes::from_static(b"small"));
            }
            let expected = [b"head", &large(b'a')[..], b"small", &large(b'b'), b"small"].concat();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut got = Vec::new();
            while output.poll_send(&mut to, &mut cx).is_pending() {
                let mut part = [0; 3000];
                let read = client.read(&mut part).await.unwrap();
                got.extend_from_slice(&part[..read]);
                let held: usize = output.pieces.iter().map(Bytes::len).sum();
                assert_eq!(held + output.gathered.len() + usize::from(output.unflushed), output.waiting());
                assert!(held + output.gathered.len() <= expected.len() - got.len());
            }
            drop(to);
            client.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, expected);
            assert_eq!(output.take_taken(), expected.len());
        });
    }
}
