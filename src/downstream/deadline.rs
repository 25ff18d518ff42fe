//! The deadlines that a client's connection keeps while its request is under way:
//! for the client's body, and for the upstream that the client waits for.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::peer::Shared;
use super::stream::ClientStream;

/// How long a response is waited for once the upstream took no more of the request:
/// Pingora looks for one only then.
const LAST_WORD: Duration = Duration::from_millis(100);

/// What the alarm is set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    Nothing,
    /// The next bytes of the client's body.
    Client,
    /// A response that the upstream may have sent before it took no more.
    LastWord,
    Response,
}

/// A deadline has passed that the client's side keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The client's body.
    Body,
    /// The upstream's taking of it.
    Upload,
    /// The upstream's response.
    Response,
    /// All of it, with every try.
    Request,
}

impl std::fmt::Display for Overdue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Body => "the client's body did not arrive in time",
            Self::Upload => "the upstream did not take the body in time",
            Self::Response => "the upstream did not answer in time",
            Self::Request => "the request did not end in time",
        })
    }
}

impl std::error::Error for Overdue {}

impl From<Overdue> for io::Error {
    fn from(overdue: Overdue) -> Self {
        Self::new(io::ErrorKind::TimedOut, overdue)
    }
}

impl ClientStream {
    /// The body is not all here. While the upstream has enough of it to take, its
    /// deadline is Pingora's to keep.
    pub(super) fn poll_body_deadlines(&mut self, cx: &mut Context<'_>, client_is_due: bool) -> Poll<io::Result<()>> {
        let Some(peer) = self.peer.as_ref().and_then(Shared::peer) else {
            return Poll::Pending;
        };
        if peer.upload.is_given_up() {
            return self.poll_response_deadlines(cx);
        }
        if !client_is_due {
            return Poll::Pending;
        }
        if self.watch != Watch::Client {
            self.alarm.set(peer.longest_silence());
            self.watch = Watch::Client;
        }
        self.alarm.poll(cx).map(|()| Err(Overdue::Body.into()))
    }

    /// The client has said all that the upstream takes, and waits. Pingora has one
    /// deadline for each read of a response, its head included, and sets a timer for it
    /// every time.
    pub(super) fn poll_response_deadlines(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(peer) = self.peer.as_ref().and_then(Shared::peer) else {
            return Poll::Pending;
        };
        peer.upload.listen(cx);
        if self.head_due && peer.upload.is_given_up() {
            return self.poll_last_word(cx);
        }
        let Some(longest) = peer.longest_wait(self.head_due) else {
            return Poll::Pending;
        };
        if peer.take_anew() || self.watch != Watch::Response {
            self.alarm.set(longest);
            self.watch = Watch::Response;
        }
        ready!(self.alarm.poll(cx));
        // The upstream has its time from when it had the whole request.
        let due = peer.upload.taken_since().unwrap_or_else(Instant::now) + longest;
        if due <= Instant::now() {
            return Poll::Ready(Err(Overdue::Response.into()));
        }
        self.alarm.set_to(due.into());
        self.alarm.poll(cx).map(|()| Err(Overdue::Response.into()))
    }

    /// Nothing else is to be had; whether the time for all of it is over.
    pub(super) fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(due) = self.peer.as_ref().and_then(Shared::peer).and_then(|peer| peer.ends_by()) else {
            return Poll::Pending;
        };
        self.whole.set_to(due.into());
        self.whole.poll(cx).map(|()| Err(Overdue::Request.into()))
    }

    fn poll_last_word(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch != Watch::LastWord {
            self.alarm.set(LAST_WORD);
            self.watch = Watch::LastWord;
        }
        self.alarm.poll(cx).map(|()| Err(Overdue::Upload.into()))
    }
}
