//! What has arrived on a connection and was not handed on.

use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::chunked::BadChunk;
use super::lines::trailer_fields;
use super::output::KEPT;

/// How much is read at once of what has no known end, and how much of a next message may lie
/// waiting.
pub const READ: usize = 16 * 1024;
/// The largest piece of a body.
const PIECE: usize = 160 * 1024;
/// With less room than this, memory for a whole piece is taken.
const LEAST_READ: usize = 80 * 1024;

/// The buffer for reading.
#[derive(Debug, Default)]
pub struct Input {
    bytes: Vec<u8>,
    /// How many of them were handed on.
    taken: usize,
    /// Where pieces of a body are read. Each is a part of it, and once that is dropped the same
    /// memory, which is still in the processor's cache, takes the next.
    scratch: BytesMut,
    /// Of the chunked body that was read last.
    trailers: Option<Box<HeaderMap>>,
}

impl Input {
    pub fn waiting(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub fn skip(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            self.bytes.clear();
            self.taken = 0;
        }
    }

    /// Reads the trailer section of a body, so many bytes behind what is skipped first.
    pub(super) fn take_trailer_section(&mut self, start: usize, length: usize) -> Result<(), BadChunk> {
        let section = self.waiting().get(start..start + length).ok_or(BadChunk)?;
        self.trailers = Some(Box::new(trailer_fields(section).ok_or(BadChunk)?));
        self.skip(start + length);
        Ok(())
    }

    /// The trailers of the body that was read, once, if it has any.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take().map(|trailers| *trailers)
    }

    /// Gives a large buffer back while nothing is going on.
    pub fn shrink(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.scratch = BytesMut::new();
    }

    /// Reads once; `Ok(0)` at the end of the connection.
    pub fn poll_fill(&mut self, from: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(from).poll_read(cx, &mut read))?;
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    /// Up to `most` bytes: those that wait, or else new ones; none at the end of the connection.
    pub fn poll_piece(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
        most: u64,
    ) -> Poll<io::Result<Bytes>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PIECE);
        let waiting = self.waiting();
        if !waiting.is_empty() {
            let piece = Bytes::copy_from_slice(&waiting[..waiting.len().min(most)]);
            self.skip(piece.len());
            return Poll::Ready(Ok(piece));
        }
        if self.scratch.capacity() < most.min(LEAST_READ) {
            self.scratch.reserve(most);
        }
        let read = ready!(pin!(from.read_buf(&mut (&mut self.scratch).limit(most))).poll(cx))?;
        // A piece is held until the other side has taken it, with all the memory that it is part of.
        if read < most / 4 {
            let piece = Bytes::copy_from_slice(&self.scratch);
            self.scratch.clear();
            return Poll::Ready(Ok(piece));
        }
        Poll::Ready(Ok(self.scratch.split().freeze()))
    }
}
