//! A client's connection as Pingora sees it: one request at a time, none of the
//! next one's bytes, and writes that leave together.
//!
//! Pingora flushes a response of known length only at its end, so what is written
//! goes out no later than when the connection is next asked for bytes, which
//! Pingora does whenever it waits for the upstream.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::alarm::Alarm;
use super::answer::{self, Kind};
use super::chunk::Scanner;
use super::connections::{Activity, Connections, End, Entered};
use super::deadline::Watch;
use super::head::{Framing, Head, escaped};
use super::peer::{Peer, Shared};

/// How much is read at once, and how much of a next request may lie waiting.
const READ: usize = 16 * 1024;
/// Small writes are gathered up to here.
const GATHERED: usize = 16 * 1024;

/// Of a buffer, while a connection is idle.
const KEPT: usize = 1024;

/// What the bytes that come in next are to Pingora.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passing {
    /// So many bytes of the head, then the body.
    Head(usize, Framing),
    Body(Framing),
    /// The request is complete; what comes belongs to the next one.
    Held,
    Tunnel,
}

/// See the module.
#[derive(Debug)]
pub struct ClientStream {
    pub(super) inner: Stream,
    pub(super) peer: Option<Shared>,
    /// Counts it until it is dropped.
    entered: Option<Entered>,
    /// Of a tunnel or an event stream.
    end: Option<End>,
    passing: Passing,
    /// Whether the next write is a head.
    pub(super) head_due: bool,
    /// Read and not yet handed on, from `taken` on.
    incoming: Vec<u8>,
    taken: usize,
    /// Written and not yet sent, from `sent` on.
    outgoing: Vec<u8>,
    sent: usize,
    pub(super) alarm: Alarm,
    pub(super) whole: Alarm,
    pub(super) watch: Watch,
}

impl ClientStream {
    pub fn new(inner: Stream, connections: &Arc<Connections>) -> Self {
        let address = inner.get_socket_digest().and_then(|digest| digest.peer_addr().cloned());
        let ip = address.and_then(|address| address.as_inet().map(|inet| inet.ip().to_canonical()));
        let peer = Shared::new(Peer::new(ip, connections.closing()));
        Self {
            inner,
            entered: peer.clone().map(|peer| connections.enter(peer)),
            peer,
            passing: Passing::Held,
            head_due: true,
            incoming: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            sent: 0,
            alarm: Alarm::default(),
            whole: Alarm::default(),
            watch: Watch::Nothing,
            end: None,
        }
    }

    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref().and_then(Shared::peer)
    }

    /// It is not a client's: nobody needs to read of it in the access log.
    pub fn be_probe(&self) {
        if let Some(peer) = self.peer() {
            peer.be_probe();
        }
    }

    pub(super) fn set_activity(&self, activity: Activity) {
        if let Some(peer) = self.peer() {
            peer.set_activity(activity);
        }
    }

    /// What has arrived and was not handed on.
    pub fn waiting(&self) -> &[u8] {
        &self.incoming[self.taken..]
    }

    /// Hands the request that `waiting` starts with to whoever reads next.
    pub(super) fn begin(&mut self, head: Head) {
        let mut length = head.length;
        if head.escape {
            let escaped = escaped(&self.waiting()[..length]);
            self.incoming.splice(self.taken..self.taken + length, escaped.iter().copied());
            length = escaped.len();
        }
        self.passing = Passing::Head(length, head.body);
        self.head_due = true;
        self.end = None;
        if let Some(peer) = self.peer() {
            peer.begin_upload(None);
            peer.end_by(None);
        }
        self.watch = Watch::Nothing;
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.taken += bytes;
        if self.taken >= self.incoming.len() {
            self.incoming.clear();
            self.taken = 0;
        }
    }

    /// Gives large buffers back while nothing is going on.
    pub(super) fn rest(&mut self) {
        for buffer in [&mut self.incoming, &mut self.outgoing] {
            if buffer.is_empty() && buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
    }

    /// Reads once into `waiting`; `Ok(0)` at the end of the connection.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut read = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut read))?;
        if self.taken > 0 {
            self.incoming.drain(..self.taken);
            self.taken = 0;
        }
        self.incoming.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    }

    fn hand_on(&mut self, out: &mut ReadBuf<'_>, most: usize) -> usize {
        let waiting = self.waiting();
        let bytes = waiting.len().min(out.remaining()).min(most);
        out.put_slice(&waiting[..bytes]);
        self.skip(bytes);
        bytes
    }

    /// Up to `most` bytes: those that wait, or else new ones.
    fn poll_bytes(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>, most: usize) -> Poll<io::Result<usize>> {
        if !self.waiting().is_empty() {
            return Poll::Ready(Ok(self.hand_on(out, most)));
        }
        if most < out.remaining() {
            ready!(self.poll_fill(cx))?;
            return Poll::Ready(Ok(self.hand_on(out, most)));
        }
        let before = out.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, out))?;
        Poll::Ready(Ok(out.filled().len() - before))
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>, framing: Framing) -> Poll<io::Result<()>> {
        let has_room = self.peer().is_none_or(|peer| !peer.upload.is_full(cx));
        let read = match framing {
            Framing::Length(0) => return self.poll_held(cx),
            Framing::Chunked(scanner) if scanner.is_done() => return self.poll_held(cx),
            Framing::Length(_) | Framing::Chunked(_) if !has_room => Poll::Pending,
            Framing::Length(left) => self.poll_sized(cx, out, left),
            Framing::Chunked(scanner) => self.poll_chunked(cx, out, scanner),
        };
        if read.is_pending() {
            return self.poll_body_deadlines(cx, has_room);
        }
        self.watch = Watch::Nothing;
        read
    }

    fn poll_sized(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>, left: u64) -> Poll<io::Result<()>> {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let read = ready!(self.poll_bytes(cx, out, most))?;
        self.passing = Passing::Body(Framing::Length(left - u64::try_from(read).unwrap_or(left)));
        Poll::Ready(Ok(()))
    }

    fn poll_chunked(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        mut scanner: Scanner,
    ) -> Poll<io::Result<()>> {
        if self.waiting().is_empty() && ready!(self.poll_fill(cx))? == 0 {
            return Poll::Ready(Ok(()));
        }
        let piece = self.waiting();
        let piece = &piece[..piece.len().min(out.remaining())];
        let body = scanner.advance(piece).map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        self.hand_on(out, body);
        self.passing = Passing::Body(Framing::Chunked(scanner));
        Poll::Ready(Ok(()))
    }

    /// Ready only when the client has gone or the upstream took too long. What it sends meanwhile is kept for the
    /// next request, up to a bound behind which the connection is not read.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.passing = Passing::Held;
        while self.waiting().len() < READ {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(read) => read.map(drop)?,
                Poll::Pending => break,
            }
        }
        // What is missing of an event stream must not be taken for its end.
        if self.poll_end(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        self.poll_response_deadlines(cx)
    }

    fn poll_tunnel(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // To both sides its end is as if the other had left.
        if self.poll_end(cx).is_ready() {
            Poll::Ready(Ok(()))
        } else {
            self.poll_bytes(cx, out, usize::MAX).map_ok(drop)
        }
    }

    /// Ready once tunnels and event streams have to end, if this is one.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.peer().is_none_or(|peer| peer.activity() != Activity::Tunnel) {
            return Poll::Pending;
        }
        let Some(entered) = &self.entered else { return Poll::Pending };
        self.end.get_or_insert_with(|| entered.end()).poll(cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.outgoing.len() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.outgoing[self.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        self.outgoing.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn write_head(&mut self, head: &[u8]) {
        let kind = answer::kind(head);
        if kind == Kind::Interim {
            self.outgoing.extend_from_slice(head);
            return;
        }
        self.head_due = false;
        if kind == Kind::Switching {
            self.passing = Passing::Tunnel;
            self.set_activity(Activity::Tunnel);
        }
        match self.peer().and_then(Peer::take_date) {
            Some(date) => answer::write_with_date(&mut self.outgoing, head, &date),
            None => self.outgoing.extend_from_slice(head),
        }
    }

    /// Sends what is gathered and `bytes` in one go; `Ok(n)` of `bytes` were taken.
    fn poll_write_through(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        while self.sent < self.outgoing.len() {
            let gathered = &self.outgoing[self.sent..];
            let both = [IoSlice::new(gathered), IoSlice::new(bytes)];
            let sent = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, &both))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(of_bytes) = sent.checked_sub(gathered.len()) {
                self.outgoing.clear();
                self.sent = 0;
                if of_bytes > 0 {
                    return Poll::Ready(Ok(of_bytes));
                }
            } else {
                self.sent += sent;
            }
        }
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    /// While the client still sends, Pingora may wait without asking for bytes.
    fn is_reading_body(&self) -> bool {
        !matches!(
            self.passing,
            Passing::Held | Passing::Body(Framing::Length(0)) | Passing::Head(_, Framing::Length(0))
        )
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // A client that does not take the response must not keep us from reading.
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            return Poll::Ready(Err(error));
        }
        match self.passing {
            Passing::Head(left, body) => {
                let left = left - self.hand_on(out, left);
                self.passing = if left == 0 { Passing::Body(body) } else { Passing::Head(left, body) };
                Poll::Ready(Ok(()))
            }
            Passing::Body(framing) => match self.poll_body(cx, out, framing) {
                Poll::Pending => self.poll_whole(cx),
                read => read,
            },
            Passing::Held => match self.poll_held(cx) {
                Poll::Pending => self.poll_whole(cx),
                held => held,
            },
            Passing::Tunnel => self.poll_tunnel(cx, out),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watch = Watch::Nothing;
        if let Some(peer) = self.peer() {
            peer.upload.excuse();
        }
        if self.head_due {
            self.write_head(bytes);
        } else if self.outgoing.len() - self.sent + bytes.len() > GATHERED || self.is_reading_body() {
            return self.poll_write_through(cx, bytes);
        } else {
            self.outgoing.extend_from_slice(bytes);
        }
        if self.is_reading_body()
            && let Poll::Ready(Err(error)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Drop for ClientStream {
    /// A response that broke off: the client shall see as much of it as there was.
    fn drop(&mut self) {
        if let Poll::Ready(Err(error)) = self.poll_send(&mut Context::from_waker(Waker::noop())) {
            log::debug!("the last bytes of a response were not taken: {error}");
        }
    }
}
