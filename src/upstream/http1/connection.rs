//! A connection to an upstream, with what is kept of it from one request to the next.

use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use pingora_core::protocols::{Digest, SocketDigest, TimingDigest};
use tokio::task::unconstrained;

use super::upload_queue::UploadQueue;
use crate::http1::Input;
use crate::metrics::ConnectionMark;
use crate::transport::Transport;

#[derive(Debug)]
pub struct Connection {
    pub stream: Transport,
    pub digest: Digest,
    pub(super) queue: Arc<UploadQueue>,
    pub input: Input,
    /// Counts it, where it is made for requests.
    pub mark: Option<ConnectionMark>,
}

impl Connection {
    /// `timing`: how long the layers of the connection took.
    pub fn new(stream: Transport, timing: Vec<Option<TimingDigest>>) -> Self {
        let digest = Digest {
            timing_digest: timing,
            // Nobody here asks for these.
            ssl_digest: None,
            proxy_digest: None,
            socket_digest: Some(Arc::new(SocketDigest::from_raw_fd(stream.socket().as_raw_fd()))),
        };
        Self { stream, digest, queue: Arc::default(), input: Input::default(), mark: None }
    }

    /// Whether the server has neither closed the connection nor said anything on it, which it
    /// may not between two requests.
    pub fn is_quiet(&mut self) -> bool {
        // A task that has read much gets nothing more from tokio for a while, which is not silence.
        let read = pin!(unconstrained(poll_fn(|cx| self.input.poll_fill(&mut self.stream, cx))));
        let is_silent = read.poll(&mut Context::from_waker(Waker::noop())).is_pending();
        is_silent && self.input.waiting().is_empty()
    }

    /// Says whether it waits for a request.
    pub fn set_idle(&mut self, is_idle: bool) {
        if let Some(mark) = &mut self.mark {
            mark.set_idle(is_idle);
        }
    }

    /// Gives large buffers back while nothing is going on.
    pub fn shrink(&mut self) {
        self.input.shrink();
        self.queue.lock().renew();
    }
}
