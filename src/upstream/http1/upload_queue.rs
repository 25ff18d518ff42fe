//! What of a request waits for the upstream to take it. The hooks' side writes into the queue
//! and never waits; the session sends from it whenever it waits for the response.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use pingora_http::RequestHeader;
use tokio::io::AsyncWrite;

use crate::exchange::Exchange;
use crate::http1::{OutgoingBody, Output, Unfinished};

/// Shared by the session and the writer of its request's body.
#[derive(Debug, Default)]
pub(super) struct UploadQueue(Mutex<Queue>);

#[derive(Debug)]
pub(super) struct Queue {
    pub output: Output,
    body: OutgoingBody,
    /// The head in front of a chunked body, by which its trailers are judged.
    head: Option<Box<RequestHeader>>,
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
        Self { output: Output::default(), body: OutgoingBody::Unknown, head: None, state: State::Open, sender: None }
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
        self.head = None;
        self.output.shrink();
    }

    /// The head was written; its body follows.
    pub fn begin(&mut self, head: Box<RequestHeader>, body: OutgoingBody) {
        self.body = body;
        self.head = (self.body == OutgoingBody::Chunked).then_some(head);
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
        let is_whole = !exchange.upload.is_given_up() && self.finish(exchange).is_ok();
        self.state = if is_whole { State::Ended } else { State::Broken };
        exchange.upload.set_waiting(self.output.waiting());
        self.wake();
    }

    fn finish(&mut self, exchange: &Exchange) -> Result<(), Unfinished> {
        if let Some(head) = &self.head
            && let Some(trailers) = exchange.upload.trailers(&head.headers)
        {
            self.body.end_with(&trailers, &mut self.output);
        }
        self.body.finish(&mut self.output)
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
    use crate::http1::BodyFields;

    const CHUNKED: (&str, &str) = ("transfer-encoding", "chunked");

    fn head(field: (&'static str, &'static str)) -> Box<RequestHeader> {
        let mut head = RequestHeader::build("POST", b"/", None).unwrap();
        head.append_header(field.0, field.1).unwrap();
        head.append_header("x-user", "ann").unwrap();
        Box::new(head)
    }

    fn written(
        field: (&'static str, &'static str),
        pieces: &[&'static str],
        prepare: impl FnOnce(&Exchange),
    ) -> (String, bool) {
        let (mut queue, exchange) = (Queue::default(), Exchange::default());
        let head = head(field);
        let body = BodyFields::of(&head.headers).of_request();
        queue.begin(head, body);
        for piece in pieces {
            queue.write(Bytes::from_static(piece.as_bytes()), &exchange);
        }
        prepare(&exchange);
        queue.end(&exchange);
        (String::from_utf8(queue.output.gathered().to_vec()).unwrap(), queue.state == State::Ended)
    }

    #[test]
    fn only_a_whole_body_ends() {
        let given_up = |exchange: &Exchange| exchange.upload.give_up();
        assert_eq!(written(CHUNKED, &["ab"], |_| ()), ("2\r\nab\r\n0\r\n\r\n".to_owned(), true));
        assert_eq!(written(CHUNKED, &["ab"], given_up), ("2\r\nab\r\n".to_owned(), false));
        let sized = ("content-length", "3");
        assert_eq!(written(sized, &["ab"], |_| ()), ("ab".to_owned(), false));
        assert_eq!(written(sized, &["ab", "c"], |_| ()), ("abc".to_owned(), true));
        assert_eq!(written(("a", "b"), &[], |_| ()), (String::new(), true));
    }

    #[test]
    fn trailers_end_a_chunked_body_without_what_must_not_be_in_them() {
        let with_trailers = |exchange: &Exchange| {
            let mut fields = http::HeaderMap::new();
            for name in ["x-sum", "content-length", "x-user", "x_user"] {
                fields.insert(name, http::HeaderValue::from_static("1"));
            }
            exchange.upload.set_trailers(fields);
            exchange.upload.set_trailer_rules(crate::message::trailers::RequestTrailers::default());
        };
        let chunked = written(CHUNKED, &["ab"], with_trailers);
        assert_eq!(chunked, ("2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n".to_owned(), true));
        assert_eq!(written(("content-length", "2"), &["ab"], with_trailers), ("ab".to_owned(), true));
    }
}
