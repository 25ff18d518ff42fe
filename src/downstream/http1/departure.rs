//! A client that leaves while nothing is read from it: while its request waits for its turn, or for
//! its response.

use std::convert::Infallible;
use std::io;
use std::task::{Context, Poll};

use super::connection::Connection;
use crate::exchange::Overdue;
use crate::http1::READ;
use crate::transport::OtherEnd;

impl Connection {
    /// What the client sends meanwhile is kept for who reads the body or the next request, up to a
    /// bound behind which the connection is not read.
    pub(super) fn poll_unread_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        if self.is_tunnel {
            return self.poll_rest_of_tunnel(cx);
        }
        if self.poll_departed(cx)?.is_ready() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        // What is missing of an event stream must not be taken for its end.
        if self.waits.poll_tunnels_end(cx).is_ready() {
            return Poll::Ready(Err(Overdue::Tunnel.into()));
        }
        self.waits.poll_upstream(cx).map(Err)
    }

    /// Ready once the client has left.
    fn poll_departed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.half_closed && self.waiting().len() < READ {
            match self.poll_fill(cx) {
                Poll::Ready(read) => self.half_closed = read? == 0,
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.half_closed {
            // Without its end the request is worth nothing.
            let is_whole = self.body.ends_within(self.waiting());
            return if is_whole { self.poll_half_closed(cx).map(Ok) } else { Poll::Ready(Ok(())) };
        }
        match self.stream.socket().other_end() {
            OtherEnd::Gone => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            OtherEnd::Finished if self.poll_half_closed(cx).is_ready() => return Poll::Ready(Ok(())),
            OtherEnd::Open | OtherEnd::Finished => self.waits.timers.look_again(cx),
        }
        Poll::Pending
    }

    /// Ready once a client that sends nothing more is taken for one that has left: TCP does not
    /// tell the two apart until something is sent. One that has an event stream waits no longer;
    /// any other has a while until its response begins, and after that the writes tell.
    fn poll_half_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.waits.exchange.is_tunnel() {
            return Poll::Ready(());
        }
        if self.waits.expects_head { self.waits.timers.poll_half_closed(cx) } else { Poll::Pending }
    }
}
