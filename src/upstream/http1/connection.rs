//! A connection to an upstream, with what is kept of it from one request to the next.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use pingora_core::protocols::{Digest, Stream};
use tokio::task::unconstrained;

use super::upload_queue::UploadQueue;
use crate::http1::Input;

#[derive(Debug)]
pub(super) struct Connection {
    pub stream: Stream,
    pub digest: Digest,
    pub queue: Arc<UploadQueue>,
    pub input: Input,
}

impl Connection {
    pub fn new(stream: Stream) -> Self {
        let digest = Digest {
            ssl_digest: stream.get_ssl_digest(),
            // Nobody here asks for it.
            timing_digest: Vec::new(),
            proxy_digest: None,
            socket_digest: stream.get_socket_digest(),
        };
        Self { stream, digest, queue: Arc::default(), input: Input::default() }
    }

    /// Whether the server has neither closed the connection nor said anything on it, which it
    /// may not between two requests.
    pub fn is_quiet(&mut self) -> bool {
        // A task that has read much gets nothing more from tokio for a while, which is not silence.
        let read = pin!(unconstrained(poll_fn(|cx| self.input.poll_fill(&mut self.stream, cx))));
        let is_silent = read.poll(&mut Context::from_waker(Waker::noop())).is_pending();
        is_silent && self.input.waiting().is_empty()
    }

    /// Gives large buffers back while nothing is going on.
    pub fn shrink(&mut self) {
        self.input.shrink();
        self.queue.lock().renew();
    }
}
