//! What has arrived from a client and was not handed on.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, ReadBuf};

use super::output::KEPT;

/// How much is read at once, and how much of a next request may lie waiting.
pub(super) const READ: usize = 16 * 1024;

/// The buffer for reading.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// How many of them were handed on.
    taken: usize,
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

    /// Puts `new` where the first `count` waiting bytes stand.
    pub fn replace(&mut self, count: usize, new: &[u8]) {
        self.bytes.splice(self.taken..self.taken + count, new.iter().copied());
    }

    /// Gives a large buffer back while nothing is going on.
    pub fn shrink(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }

    /// Reads once; `Ok(0)` at the end of the connection.
    pub fn poll_fill(&mut self, from: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
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

    /// Hands on up to `most` of the waiting bytes.
    pub fn hand_on(&mut self, out: &mut ReadBuf<'_>, most: usize) -> usize {
        let waiting = self.waiting();
        let count = waiting.len().min(out.remaining()).min(most);
        out.put_slice(&waiting[..count]);
        self.skip(count);
        count
    }

    /// Hands on up to `most` bytes: those that wait, or else new ones.
    pub fn poll_hand_on(
        &mut self,
        from: &mut Stream,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if !self.waiting().is_empty() {
            return Poll::Ready(Ok(self.hand_on(out, most)));
        }
        if most < out.remaining() {
            ready!(self.poll_fill(from, cx))?;
            return Poll::Ready(Ok(self.hand_on(out, most)));
        }
        let before = out.filled().len();
        ready!(Pin::new(from).poll_read(cx, out))?;
        Poll::Ready(Ok(out.filled().len() - before))
    }
}
