//! A connection that has become a tunnel: each direction of it ends by itself, and both end when
//! the process wants them to.

use std::convert::Infallible;
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::connection::Connection;
use crate::http1::IncomingBody;

impl Connection {
    pub(super) fn poll_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if self.waits.poll_cut(cx) || self.waits.exchange.upload.is_given_up() {
            self.end_tunnel();
            return Poll::Ready(Ok(None));
        }
        let has_room = self.waits.upload_has_room(cx);
        match if has_room { self.poll_client(cx) } else { Poll::Pending } {
            Poll::Ready(read) => Poll::Ready(read),
            Poll::Pending => self.waits.poll_tunnel(!has_room || self.output.waiting() > 0, cx).map(Err),
        }
    }

    /// Nothing more is read of it.
    pub(super) fn end_tunnel(&mut self) {
        self.body = IncomingBody::Done;
    }

    /// The client has closed its direction of a tunnel, and still gets what the upstream sends.
    pub(super) fn poll_rest_of_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        if self.waits.poll_cut(cx) { Poll::Pending } else { self.waits.poll_upstream(cx).map(Err) }
    }
}
