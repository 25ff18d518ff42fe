//! What was written for a client and is not sent yet: small writes leave together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pingora_core::protocols::Stream;
use tokio::io::AsyncWrite;

/// Small writes are gathered up to here.
const GATHERED: usize = 16 * 1024;
/// Of a buffer, while a connection is idle.
pub(super) const KEPT: usize = 1024;

/// The buffer for writing, and how much of it the client took.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub gathered: Vec<u8>,
    /// How many of them were sent.
    sent: usize,
    /// How much the client took since this was last asked.
    taken: usize,
    /// The client took too long: nothing more is written.
    given_up: bool,
}

impl Output {
    /// Whether `count` more bytes are too many to gather.
    pub fn is_full_with(&self, count: usize) -> bool {
        self.gathered.len() - self.sent + count > GATHERED
    }

    /// How much the client took since this was last asked.
    pub fn take_taken(&mut self) -> usize {
        std::mem::take(&mut self.taken)
    }

    /// Nothing more is sent on this connection.
    pub fn give_up(&mut self) {
        self.gathered = Vec::new();
        self.sent = 0;
        self.given_up = true;
    }

    /// # Errors
    /// Once the client was given up.
    pub fn check(&self) -> io::Result<()> {
        if self.given_up { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Gives a large buffer back while nothing is going on.
    pub fn shrink(&mut self) {
        if self.gathered.is_empty() && self.gathered.capacity() > KEPT {
            self.gathered = Vec::new();
        }
    }

    /// Sends what is gathered.
    pub fn poll_send(&mut self, to: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.gathered.len() {
            let sent = ready!(Pin::new(&mut *to).poll_write(cx, &self.gathered[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += sent;
            self.sent += sent;
        }
        self.gathered.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends what is gathered and `bytes` in one go; `Ok(n)` of `bytes` were taken.
    pub fn poll_write_through(
        &mut self,
        to: &mut Stream,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        while self.sent < self.gathered.len() {
            let gathered = &self.gathered[self.sent..];
            let both = [IoSlice::new(gathered), IoSlice::new(bytes)];
            let sent = ready!(Pin::new(&mut *to).poll_write_vectored(cx, &both))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += sent;
            if let Some(of_bytes) = sent.checked_sub(gathered.len()) {
                self.gathered.clear();
                self.sent = 0;
                if of_bytes > 0 {
                    return Poll::Ready(Ok(of_bytes));
                }
            } else {
                self.sent += sent;
            }
        }
        let sent = ready!(Pin::new(to).poll_write(cx, bytes))?;
        self.taken += sent;
        Poll::Ready(Ok(sent))
    }
}
