//! What a connection, its driver and the requests on it tell each other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::http2::{Event, Frame, Kind};

/// Of how many responses it is known that they are whole: more than are under way at a time.
const REMEMBERED: usize = 128;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The server's settings are not known: it is given one request.
    New,
    Open,
    /// It takes no requests any more.
    Closed,
}

/// What they share.
#[derive(Debug)]
pub(super) struct Shared {
    born: Instant,
    pub streams: AtomicUsize,
    /// When the last request ended, and when something was last read, in milliseconds from `born` on.
    idle_since: AtomicU64,
    read_at: AtomicU64,
    /// The driver is to ask whether the server is there.
    pub ping_wanted: AtomicBool,
    pub driver: AtomicWaker,
    pub stage: watch::Sender<Stage>,
    /// The streams whose responses came whole last: `h2` forgets that of one that is reset afterwards.
    whole: Mutex<VecDeque<u32>>,
}

impl Shared {
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            streams: AtomicUsize::new(0),
            idle_since: AtomicU64::new(0),
            read_at: AtomicU64::new(0),
            ping_wanted: AtomicBool::new(false),
            driver: AtomicWaker::new(),
            stage: watch::channel(Stage::New).0,
            whole: Mutex::default(),
        }
    }

    /// A request has ended.
    pub fn remove_stream(&self) {
        self.idle_since.store(self.now(), Ordering::Relaxed);
        if self.streams.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.driver.wake();
        }
    }

    /// A frame of the server's has begun.
    pub fn note_frame(&self, event: Event) {
        let Event::Frame(frame @ Frame { kind: Kind::Data | Kind::Headers, stream, .. }) = event else { return };
        if frame.ends_stream() {
            let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
            if whole.len() == REMEMBERED {
                whole.pop_front();
            }
            whole.push_back(stream);
        }
    }

    /// Whether the last frame of a stream's response has come.
    pub fn is_whole(&self, stream: u32) -> bool {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner).contains(&stream)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub fn note_read(&self) {
        self.read_at.store(self.now(), Ordering::Relaxed);
    }

    pub fn read_at(&self) -> Instant {
        self.born + Duration::from_millis(self.read_at.load(Ordering::Relaxed))
    }

    /// Since when no request is under way; `None` while one is.
    pub fn idle_since(&self) -> Option<Instant> {
        let is_idle = self.streams.load(Ordering::Relaxed) == 0;
        is_idle.then(|| self.born + Duration::from_millis(self.idle_since.load(Ordering::Relaxed)))
    }
}
