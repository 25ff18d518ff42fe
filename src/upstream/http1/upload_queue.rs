//! What of a request waits for the upstream to take it. The hooks' side writes into the queue
//! and never waits; the session sends from it whenever it waits for the response.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::exchange::Exchange;
use crate::http1::{OutgoingBody, Output};

/// Shared by the session and the writer of its request's body.
#[derive(Debug, Default)]
pub(super) struct UploadQueue(Mutex<Queue>);

#[derive(Debug)]
pub(super) struct Queue {
    pub output: Output,
    body: OutgoingBody,
    state: State,
    /// Of the task that sends.
    sender: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// More is written.
    Open,
    /// Nothing more is written.
    Ended,
    /// The request never gets whole to the upstream.
    Broken,
}

impl Default for Queue {
    fn default() -> Self {
        Self { output: Output::default(), body: OutgoingBody::Unknown, state: State::Open, sender: None }
    }
}

impl UploadQueue {
    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Makes it that of the next request.
    pub fn renew(&mut self) {
        (self.body, self.state, self.sender) = (OutgoingBody::Unknown, State::Open, None);
        self.output.shrink();
    }

    /// The head was written; `body` follows.
    pub fn begin(&mut self, body: OutgoingBody) {
        self.body = body;
    }

    /// The connection becomes a tunnel, with whatever follows.
    pub fn become_tunnel(&mut self) {
        if self.body != OutgoingBody::ToEnd && self.state != State::Broken {
            (self.body, self.state) = (OutgoingBody::ToEnd, State::Open);
        }
    }

    /// A piece of the body; nobody takes it once the queue is broken.
    pub fn write(&mut self, piece: Bytes, exchange: &Exchange) {
        if self.state == State::Open {
            self.body.write(piece, &mut self.output);
            exchange.upload.set_waiting(self.output.waiting());
            self.wake();
        }
    }

    /// Nothing more is written. A body that is shorter than its head says breaks the queue, and
    /// so does one whose rest nobody takes: no last chunk must make it look whole.
    pub fn end(&mut self, exchange: &Exchange) {
        if self.state != State::Open {
            return;
        }
        let is_whole = !exchange.upload.is_given_up() && self.body.finish(&mut self.output).is_ok();
        self.state = if is_whole { State::Ended } else { State::Broken };
        exchange.upload.set_waiting(self.output.waiting());
        self.wake();
    }

    /// The upstream takes nothing more.
    pub fn give_up(&mut self, exchange: &Exchange) {
        self.state = State::Broken;
        self.output.give_up();
        exchange.upload.give_up();
    }

    /// Whether nothing is left to be sent, and nothing more is written.
    pub fn is_over(&self) -> bool {
        self.state == State::Broken || self.is_sent()
    }

    /// Whether the upstream has the whole request.
    pub fn is_sent(&self) -> bool {
        self.state == State::Ended && self.output.waiting() == 0
    }

    /// Ready once everything that was written is sent.
    pub fn poll_send(&mut self, to: &mut (impl AsyncWrite + Unpin), cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.state == State::Open && self.sender.as_ref().is_none_or(|sender| !sender.will_wake(cx.waker())) {
            self.sender = Some(cx.waker().clone());
        }
        self.output.poll_send(to, cx)
    }

    fn wake(&mut self) {
        if let Some(sender) = self.sender.take() {
            sender.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(body: OutgoingBody, pieces: &[&'static str], given_up: bool) -> (String, bool) {
        let (mut queue, exchange) = (Queue::default(), Exchange::default());
        queue.begin(body);
        for piece in pieces {
            queue.write(Bytes::from_static(piece.as_bytes()), &exchange);
        }
        if given_up {
            exchange.upload.give_up();
        }
        queue.end(&exchange);
        (String::from_utf8(queue.output.gathered().to_vec()).unwrap(), queue.state == State::Ended)
    }

    #[test]
    fn only_a_whole_body_ends() {
        assert_eq!(written(OutgoingBody::Chunked, &["ab"], false), ("2\r\nab\r\n0\r\n\r\n".to_owned(), true));
        assert_eq!(written(OutgoingBody::Chunked, &["ab"], true), ("2\r\nab\r\n".to_owned(), false));
        assert_eq!(written(OutgoingBody::Sized(3), &["ab"], false), ("ab".to_owned(), false));
        assert_eq!(written(OutgoingBody::Sized(3), &["ab", "c"], false), ("abc".to_owned(), true));
        assert_eq!(written(OutgoingBody::Done, &[], false), (String::new(), true));
    }
}
