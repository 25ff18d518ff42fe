//! How much of a request's body waits for the upstream to take it. The upstream's driver says
//! so, the client's reads no more while that is much, and the upstream's time for its response
//! begins when nothing waits any more.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Context;
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use http::HeaderMap;

use super::window::WINDOW;
use crate::message::trailers::RequestTrailers;

/// The way of one request's body to the upstream.
#[derive(Debug)]
pub struct Upload {
    born: Instant,
    /// In bytes.
    waiting: AtomicUsize,
    /// A window waits, and has not gone yet.
    is_full: AtomicBool,
    /// When nothing waited any more, in microseconds from `born` on.
    since: AtomicU64,
    given_up: AtomicBool,
    /// The task that reads from the client.
    reader: AtomicWaker,
    /// What the client sent behind the body.
    trailers: Mutex<Option<Box<HeaderMap>>>,
    has_trailers: AtomicBool,
    /// Which of them go on; none while nobody has said so.
    trailer_rules: Mutex<Option<RequestTrailers>>,
}

impl Default for Upload {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            waiting: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            since: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            trailers: Mutex::new(None),
            has_trailers: AtomicBool::new(false),
            trailer_rules: Mutex::default(),
        }
    }
}

impl Upload {
    /// Another attempt at sending begins.
    pub(super) fn begin_attempt(&self) {
        self.waiting.store(0, Ordering::Relaxed);
        self.is_full.store(false, Ordering::Relaxed);
        self.given_up.store(false, Ordering::Relaxed);
    }

    /// The client sent these behind the body. They are set before the end of the body is told.
    pub fn set_trailers(&self, trailers: HeaderMap) {
        *self.trailers.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(trailers));
        self.has_trailers.store(true, Ordering::Release);
    }

    /// Whether the client has sent any.
    pub fn has_trailers(&self) -> bool {
        self.has_trailers.load(Ordering::Acquire)
    }

    /// Which trailers go on, as the route has it.
    pub fn set_trailer_rules(&self, rules: RequestTrailers) {
        *self.trailer_rules.lock().unwrap_or_else(PoisonError::into_inner) = Some(rules);
    }

    /// The trailers that go on behind a request of this head. A retry gets them, too.
    pub fn trailers(&self, head: &HeaderMap) -> Option<HeaderMap> {
        if !self.has_trailers() {
            return None;
        }
        let trailers = self.trailers.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()?;
        Some(self.trailer_rules.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.of(trailers, head))
    }

    /// So many bytes wait for the upstream to take them.
    pub fn set_waiting(&self, bytes: usize) {
        let before = self.waiting.swap(bytes, Ordering::Relaxed);
        if bytes == 0 && before > 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
        if bytes >= WINDOW {
            self.is_full.store(true, Ordering::Relaxed);
        } else if bytes == 0 && before > 0 {
            self.is_full.store(false, Ordering::Relaxed);
            self.reader.wake();
        }
    }

    /// Another request begins.
    pub(super) fn reset(&mut self) {
        self.begin_attempt();
        *self.trailers.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        *self.has_trailers.get_mut() = false;
        *self.trailer_rules.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The upstream takes no more of the body: it has closed its direction, or took too long.
    pub fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
        self.since.store(self.now(), Ordering::Relaxed);
        self.reader.wake();
    }

    /// Whether the upstream takes no more of the body.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Whether so much waits that no more is read from the client. While anything waits, the task is woken when the
    /// upstream has taken everything or takes no more.
    pub fn is_full(&self, cx: &Context<'_>) -> bool {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.reader.register(cx.waker());
        }
        self.is_full.load(Ordering::Relaxed)
    }

    /// Since when the upstream has had all that it takes; `None` while it has not.
    pub fn taken_since(&self) -> Option<Instant> {
        let taken = self.waiting.load(Ordering::Relaxed) == 0 || self.is_given_up();
        taken.then(|| self.born + Duration::from_micros(self.since.load(Ordering::Relaxed)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn the_client_is_read_until_a_window_waits() {
        let upload = Upload::default();
        let cx = Context::from_waker(Waker::noop());
        upload.begin_attempt();
        let before = Instant::now();
        upload.set_waiting(WINDOW - 1);
        assert!(!upload.is_full(&cx) && upload.taken_since().is_none());
        upload.set_waiting(WINDOW);
        assert!(upload.is_full(&cx));
        upload.set_waiting(1);
        assert!(upload.is_full(&cx) && upload.taken_since().is_none());
        upload.set_waiting(0);
        assert!(!upload.is_full(&cx));
        let since = upload.taken_since().unwrap();
        assert!(since + Duration::from_millis(1) >= before && since <= Instant::now());
    }

    #[test]
    fn trailers_go_on_where_somebody_says_which_and_for_one_request() {
        let (mut upload, head) = (Upload::default(), HeaderMap::new());
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", http::HeaderValue::from_static("7"));
        upload.set_trailers(trailers.clone());
        assert_eq!(upload.trailers(&head), None);
        upload.set_trailer_rules(RequestTrailers::default());
        for _ in 0..2 {
            upload.begin_attempt();
            assert_eq!(upload.trailers(&head), Some(trailers.clone()));
        }
        upload.reset();
        assert!(!upload.has_trailers() && upload.trailers(&head).is_none());
    }

    #[test]
    fn what_was_given_up_is_waited_for_no_longer() {
        let upload = Upload::default();
        upload.set_waiting(WINDOW);
        upload.give_up();
        assert!(upload.is_given_up() && upload.taken_since().is_some());
        upload.begin_attempt();
        assert!(!upload.is_given_up() && !upload.is_full(&Context::from_waker(Waker::noop())));
    }
}
