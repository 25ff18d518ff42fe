//! What of a request's body waits for the upstream to take it. The hooks' side writes into the queue
//! and never waits; the session sends from it, as far as the windows of HTTP/2 allow, whenever it
//! waits for the response.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;

use crate::exchange::Exchange;

/// Shared by the session and the writer of its request's body.
#[derive(Debug, Default)]
pub(super) struct UploadQueue(Mutex<Queue>);

#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Bytes>,
    /// In bytes, of all pieces.
    waiting: usize,
    /// What is still to be written, where the head says how much.
    left: Option<u64>,
    /// The fields of the head, by which trailers are judged.
    head: HeaderMap,
    state: State,
    /// Of the task that sends.
    sender: Option<Waker>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    /// More is written.
    #[default]
    Open,
    /// Nothing more is written. Trailers follow if there are any.
    Ended(Option<HeaderMap>),
    /// The stream has its end.
    Sent,
    /// The request never gets whole to the upstream.
    Broken,
}

impl UploadQueue {
    pub fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The head was sent, with these fields. `left`: the length of the body, where it is known;
    /// `ended`: the stream has its end already.
    pub fn begin(&mut self, head: HeaderMap, left: Option<u64>, ended: bool) {
        self.head = head;
        self.left = left;
        self.state = if ended { State::Sent } else { State::Open };
    }

    /// A piece of the body; nobody takes it once the queue is broken.
    pub fn write(&mut self, mut piece: Bytes, exchange: &Exchange) {
        if self.state != State::Open {
            return;
        }
        if let Some(left) = &mut self.left {
            piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left = left.saturating_sub(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        }
        if !piece.is_empty() {
            self.waiting += piece.len();
            self.pieces.push_back(piece);
            exchange.upload.set_waiting(self.waiting);
            self.wake();
        }
    }

    /// Nothing more is written. A body that is shorter than its head says, or whose rest nobody
    /// takes, gets no end that would make it look whole.
    pub fn end(&mut self, exchange: &Exchange) {
        if self.state != State::Open {
            return;
        }
        let is_whole = !exchange.upload.is_given_up() && self.left.unwrap_or(0) == 0;
        let trailers = exchange.upload.trailers(&self.head);
        self.state = match is_whole {
            true => State::Ended(trailers.filter(|trailers| !trailers.is_empty())),
            false => State::Broken,
        };
        self.wake();
    }

    /// The upstream takes nothing more.
    pub fn give_up(&mut self, exchange: &Exchange) {
        self.state = State::Broken;
        self.pieces.clear();
        self.waiting = 0;
        exchange.upload.give_up();
    }

    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing is left to be sent, and nothing more is written.
    pub fn is_over(&self) -> bool {
        match self.state {
            State::Broken | State::Sent => true,
            State::Open | State::Ended(_) => false,
        }
    }

    /// Ready once everything that was written is sent; adds to `taken` what was.
    pub fn poll_send(
        &mut self,
        to: &mut SendStream<Bytes>,
        taken: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), h2::Error>> {
        if self.state == State::Open && self.sender.as_ref().is_none_or(|sender| !sender.will_wake(cx.waker())) {
            self.sender = Some(cx.waker().clone());
        }
        while let Some(piece) = self.pieces.front_mut() {
            to.reserve_capacity(piece.len());
            while to.capacity() == 0 {
                match ready!(to.poll_capacity(cx)) {
                    Some(granted) => granted?,
                    // The stream was reset.
                    None => return Poll::Ready(Err(Reason::CANCEL.into())),
                };
            }
            let part = piece.split_to(piece.len().min(to.capacity()));
            let is_rest = piece.is_empty();
            self.waiting -= part.len();
            *taken += part.len();
            if is_rest {
                self.pieces.pop_front();
            }
            let is_last = is_rest && self.pieces.is_empty() && self.state == State::Ended(None);
            to.send_data(part, is_last)?;
            if is_last {
                self.state = State::Sent;
            }
        }
        if let State::Ended(trailers) = &mut self.state {
            match trailers.take() {
                Some(trailers) => to.send_trailers(trailers)?,
                None => to.send_data(Bytes::new(), true)?,
            }
            self.state = State::Sent;
        }
        Poll::Ready(Ok(()))
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

    fn ended(left: Option<u64>, pieces: &[&'static str], given_up: bool) -> (usize, bool) {
        let (mut queue, exchange) = (Queue::default(), Exchange::default());
        queue.begin(HeaderMap::new(), left, false);
        for piece in pieces {
            queue.write(Bytes::from_static(piece.as_bytes()), &exchange);
        }
        if given_up {
            exchange.upload.give_up();
        }
        queue.end(&exchange);
        (queue.waiting(), queue.state == State::Ended(None))
    }

    #[test]
    fn only_a_whole_body_ends() {
        assert_eq!(ended(None, &["ab", "", "c"], false), (3, true));
        assert_eq!(ended(None, &["ab"], true), (2, false));
        assert_eq!(ended(Some(3), &["ab"], false), (2, false));
        assert_eq!(ended(Some(3), &["ab", "cd"], false), (3, true));
    }

    #[test]
    fn trailers_end_a_body_without_what_must_not_be_in_them() {
        let (mut queue, exchange) = (Queue::default(), Exchange::default());
        let mut fields = HeaderMap::new();
        fields.insert("x-sum", http::HeaderValue::from_static("1"));
        fields.insert("content-length", http::HeaderValue::from_static("5"));
        fields.insert("x-user", http::HeaderValue::from_static("root"));
        fields.insert("x_user", http::HeaderValue::from_static("root"));
        exchange.upload.set_trailers(fields);
        exchange.upload.set_trailer_rules(crate::message::trailers::RequestTrailers::default());
        let mut head = HeaderMap::new();
        head.insert("x-user", http::HeaderValue::from_static("ann"));
        queue.begin(head, None, false);
        queue.end(&exchange);
        let State::Ended(Some(trailers)) = &queue.state else { panic!("{:?}", queue.state) };
        assert_eq!(trailers.keys().collect::<Vec<_>>(), ["x-sum"]);
    }
}
