//! How much of a request's body the upstream has taken. Pingora tells nobody: its two
//! halves share a pipe of pieces, and once it has given up sending, it takes no more of
//! them and waits for a response, if need be for ever. So each piece tells `Upload` when
//! it is dropped, and the driver never fills the pipe: while it is full, Pingora does not
//! even look at the client.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;

use super::deadline::Limit;

/// At most this many pieces are under way. Pingora's pipe has room for four: one place is for
/// the piece that Pingora reserves before it looks at the client, and one for the end of the
/// body.
const PIPE_ROOM: usize = 2;
/// Pingora's timers may fire too early, by at most this long.
const EARLY: Duration = Duration::from_millis(2);

/// The way of one request's body to the upstream.
#[derive(Debug)]
pub(super) struct Upload {
    born: Instant,
    under_way: AtomicUsize,
    /// When a piece was last sent or dropped, in microseconds from `born` on.
    since: AtomicU64,
    /// How long Pingora tries to send one piece.
    send_limit: Limit,
    given_up: AtomicBool,
    reader: AtomicWaker,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            under_way: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            send_limit: Limit::default(),
            given_up: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }
}

impl Upload {
    /// Makes it that of another request. No piece is under way: each would hold the exchange.
    pub fn reset(&mut self) {
        self.send_limit.set(None);
        *self.given_up.get_mut() = false;
    }

    /// Another attempt at sending begins.
    pub fn begin_attempt(&self, send_limit: Option<Duration>) {
        self.send_limit.set(send_limit);
        self.given_up.store(false, Ordering::Relaxed);
    }

    /// Wakes this task when Pingora gives up and when there is room for another piece.
    pub fn register_waker(&self, cx: &Context<'_>) {
        if self.under_way.load(Ordering::Acquire) > 0 {
            self.reader.register(cx.waker());
        }
    }

    /// Whether as many pieces are under way as may be.
    pub fn is_full(&self, cx: &Context<'_>) -> bool {
        // Before it is looked at: a piece that is dropped in between must wake this task.
        self.register_waker(cx);
        self.under_way.load(Ordering::Acquire) >= PIPE_ROOM
    }

    /// Whether the upstream took longer for a piece than Pingora waits, so that Pingora gave up.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Since when the upstream has had all that it takes; `None` while it has not.
    pub fn taken_since(&self) -> Option<Instant> {
        let taken = self.under_way.load(Ordering::Acquire) == 0 || self.is_given_up();
        taken.then(|| self.born + Duration::from_micros(self.since.load(Ordering::Relaxed)))
    }

    /// Does not count the time until now against the upstream: the client, which did not take
    /// the response, held up the pieces that are under way.
    pub fn restart_clock(&self) {
        if self.under_way.load(Ordering::Relaxed) > 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A piece is sent to the upstream.
    pub fn piece_sent(&self) {
        if self.under_way.fetch_add(1, Ordering::AcqRel) == 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// A piece is dropped. One that is dropped after Pingora has given up sending was not taken,
    /// unless another is taken afterwards.
    pub fn piece_dropped(&self) {
        let now = self.now();
        let took = Duration::from_micros(now.saturating_sub(self.since.swap(now, Ordering::Relaxed)));
        let late = self.send_limit.get().is_some_and(|limit| took + EARLY >= limit);
        self.given_up.store(late, Ordering::Relaxed);
        let before = self.under_way.fetch_sub(1, Ordering::AcqRel);
        if late || before >= PIPE_ROOM {
            self.reader.wake();
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
