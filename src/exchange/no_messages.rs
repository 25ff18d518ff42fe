//! The messages beside a body, of which HTTP has none: Pingora asks both sides of each exchange for
//! them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

/// Ends, with no message, once that is over which it was made for: the wait for a response. Pingora
/// takes another turn of its loop for each of these streams that ends; then it is in the turn that
/// the response takes anyway.
///
/// It wakes nobody: what reads the response does, in the task that polls this.
#[derive(Debug)]
pub struct NoMessages<T> {
    of: Arc<T>,
    is_over: fn(&T) -> bool,
}

impl<T> NoMessages<T> {
    pub(super) fn until(of: Arc<T>, is_over: fn(&T) -> bool) -> Self {
        Self { of, is_over }
    }
}

impl<T> Stream for NoMessages<T> {
    type Item = pingora_core::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if (self.is_over)(&self.of) { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Waker;

    #[test]
    fn they_end_when_it_is_over() {
        let over = Arc::new(AtomicBool::new(false));
        let mut messages = NoMessages::until(Arc::clone(&over), |over| over.load(Ordering::Relaxed));
        let mut poll = || Pin::new(&mut messages).poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        over.store(true, Ordering::Relaxed);
        assert!(matches!(poll(), Poll::Ready(None)));
    }
}
