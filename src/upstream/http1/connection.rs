//! A connection to an upstream, with what is kept of it from one request to the next.

use std::sync::Arc;
use std::task::{Context, Waker};

use pingora_core::protocols::{Digest, Stream};

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
        let mut cx = Context::from_waker(Waker::noop());
        self.input.waiting().is_empty() && self.input.poll_fill(&mut self.stream, &mut cx).is_pending()
    }

    /// Gives large buffers back while nothing is going on.
    pub fn shrink(&mut self) {
        self.input.shrink();
        self.queue.lock().renew();
    }
}
