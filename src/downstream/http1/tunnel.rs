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
        if self.poll_cut(cx) || self.exchange.upload.is_given_up() {
            self.end_tunnel();
            return Poll::Ready(Ok(None));
        }
        let has_room = self.upload_has_room(cx);
        match if has_room { self.poll_client(cx) } else { Poll::Pending } {
            Poll::Ready(read) => Poll::Ready(read),
            // Something is on its way to one side, which has a deadline for that.
            Poll::Pending if !has_room || self.output.waiting() > 0 => {
                self.timers.restart_read();
                Poll::Pending
            }
            Poll::Pending => self.timers.poll_tunnel(&self.exchange, cx).map(|overdue| Err(overdue.into())),
        }
    }

    /// Whether the tunnel has to end. Each side sees that as if the other side had closed it.
    pub(super) fn poll_cut(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.exchange.download.is_cut() && self.poll_tunnels_end(cx).is_ready() {
            self.exchange.download.cut();
        }
        self.exchange.download.is_cut()
    }

    /// Nothing more is read of it.
    pub(super) fn end_tunnel(&mut self) {
        self.body = IncomingBody::Done;
    }

    /// The client has closed its direction of a tunnel, and still gets what the upstream sends.
    pub(super) fn poll_rest_of_tunnel(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Infallible>> {
        if self.poll_cut(cx) { Poll::Pending } else { self.poll_upstream(cx).map(Err) }
    }

    /// Ready once tunnels and event streams have to end, if this is one.
    pub(super) fn poll_tunnels_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.exchange.is_tunnel() {
            return Poll::Pending;
        }
        self.tunnels_end.get_or_insert_with(|| self.registration.tunnels_end()).poll(cx)
    }
}
