//! The messages beside a body, of which HTTP has none: Pingora asks both sides of each exchange for
//! them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use super::Exchange;

/// Ends, with no message, once a response has come. Pingora takes another turn of its loop for each
/// of these streams that ends; then it is in the turn that the response takes anyway.
///
/// It wakes nobody: what reads the response does, in the task that polls this.
#[derive(Debug)]
pub struct NoMessages(pub Arc<Exchange>);

impl Stream for NoMessages {
    type Item = pingora_core::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.0.has_response() { Poll::Ready(None) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn they_end_when_a_response_has_come() {
        let exchange = Arc::new(Exchange::default());
        let mut messages = NoMessages(Arc::clone(&exchange));
        let mut poll = || Pin::new(&mut messages).poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        exchange.begin_response();
        assert!(matches!(poll(), Poll::Ready(None)));
    }
}
