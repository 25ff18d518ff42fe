//! Waiting for a client's next request: total deadlines, so that a head sent byte
//! by byte holds a connection no longer than one that is not sent at all.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use pingora_timeout::timeout;
use tokio::io::AsyncWriteExt;

use super::connections::Activity;
use super::head::{Head, Malformed};
use super::stream::ClientStream;
use crate::config::HeadLimits;

/// How long and how much a refused client may go on sending before the connection
/// is cut: closing at once would destroy the reply on its way.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// How long a client has.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// Until the first byte of a request.
    pub idle: Duration,
    /// From its first byte to the end of its head.
    pub head: Duration,
}

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A request that the stream now hands on.
    Request,
    /// The client closed or kept silent.
    Gone,
    /// It began a request and did not finish its head in time.
    TooSlow,
    Malformed(Malformed),
}

impl ClientStream {
    /// Waits for a whole head.
    pub async fn next_request(&mut self, deadlines: Deadlines, limits: &HeadLimits) -> Arrival {
        let mut idle = self.waiting().is_empty();
        self.set_activity(if idle { Activity::Idle } else { Activity::Request });
        if !idle && let Some(arrival) = self.try_begin(limits) {
            return arrival;
        }
        self.rest();
        self.alarm.set(if idle { deadlines.idle } else { deadlines.head });
        poll_fn(|cx| {
            while let Poll::Ready(read) = self.poll_fill(cx) {
                if !matches!(read, Ok(1..)) {
                    return Poll::Ready(Arrival::Gone);
                }
                self.set_activity(Activity::Request);
                if let Some(arrival) = self.try_begin(limits) {
                    return Poll::Ready(arrival);
                }
                if std::mem::take(&mut idle) {
                    self.alarm.set(deadlines.head);
                }
            }
            self.alarm.poll(cx).map(|()| if idle { Arrival::Gone } else { Arrival::TooSlow })
        })
        .await
    }

    /// `None` while the head is not whole.
    fn try_begin(&mut self, limits: &HeadLimits) -> Option<Arrival> {
        // RFC 9112 section 2.2: empty lines in front of a request are ignored.
        while self.waiting().starts_with(b"\r\n") {
            self.skip(2);
        }
        match Head::read(self.waiting(), limits) {
            Ok(None) => None,
            Ok(Some(head)) => {
                self.begin(head);
                Some(Arrival::Request)
            }
            Err(malformed) => Some(Arrival::Malformed(malformed)),
        }
    }

    /// Sends a last reply and ends the connection so that the client can read it.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn end_with(&mut self, reply: &[u8]) -> io::Result<()> {
        self.write_all(reply).await?;
        AsyncWriteExt::shutdown(self).await?;
        let drained = poll_fn(|cx| {
            let mut left = LINGER_BYTES;
            loop {
                self.skip(self.waiting().len());
                match std::task::ready!(self.poll_fill(cx))? {
                    0 => return Poll::Ready(Ok(())),
                    read if read > left => return Poll::Ready(Ok(())),
                    read => left -= read,
                }
            }
        });
        timeout(LINGER, drained).await.unwrap_or(Ok(()))
    }
}
