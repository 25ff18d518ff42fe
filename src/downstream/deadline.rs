//! The deadlines of one exchange: the hooks set them, and the protocol's driver asks for
//! them whenever it waits for the client, be it to read or to write.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a client may take nothing of a response: the default of the client's future key
/// `timeouts.write_idle`, not of the upstream's key of that name.
pub const WRITE_IDLE: Duration = Duration::from_secs(60);

/// A deadline of an exchange that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The client sent nothing more of its body.
    RequestBody,
    /// The upstream did not take the body.
    Upload,
    /// The upstream sent no response, or nothing more of it.
    Response,
    /// The request with all its attempts did not end.
    Request,
    /// The client took nothing more of the response.
    Write,
    /// The time of the whole request was over while the client still had to take the response.
    Delivery,
}

impl std::fmt::Display for Overdue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RequestBody => "the client's body did not arrive in time",
            Self::Upload => "the upstream did not take the body in time",
            Self::Response => "the upstream did not answer in time",
            Self::Request => "the request did not end in time",
            Self::Write => "the client did not take the response in time",
            Self::Delivery => "the client had not taken the whole response when the request had to end",
        })
    }
}

impl std::error::Error for Overdue {}

impl From<Overdue> for io::Error {
    fn from(overdue: Overdue) -> Self {
        Self::new(io::ErrorKind::TimedOut, overdue)
    }
}

/// A duration that one side sets while the other reads it, in milliseconds; 0 is none.
#[derive(Debug, Default)]
pub(super) struct Limit(AtomicU64);

impl Limit {
    fn new(limit: Duration) -> Self {
        let this = Self::default();
        this.set(Some(limit));
        this
    }

    pub fn set(&self, limit: Option<Duration>) {
        let millis = |limit: Duration| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1);
        self.0.store(limit.map_or(0, millis), Ordering::Relaxed);
    }

    pub fn get(&self) -> Option<Duration> {
        let millis = self.0.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }
}

/// How long an exchange may wait for each of its parts.
#[derive(Debug)]
pub struct Deadlines {
    born: Instant,
    request_body: Limit,
    response_head: Limit,
    response_body: Limit,
    /// Whether a wait for the response that is under way begins anew.
    response_renewed: AtomicBool,
    write: Limit,
    /// From `born` on.
    request: Limit,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self::unset(Instant::now())
    }
}

impl Deadlines {
    fn unset(born: Instant) -> Self {
        Self {
            born,
            request_body: Limit::default(),
            response_head: Limit::default(),
            response_body: Limit::default(),
            response_renewed: AtomicBool::new(false),
            write: Limit::new(WRITE_IDLE),
            request: Limit::default(),
        }
    }

    /// Makes them those of another request, of which nothing is known yet.
    pub(super) fn reset(&mut self) {
        *self = Self::unset(self.born);
    }

    /// How long the client may be silent in the middle of its body.
    pub fn set_request_body(&self, limit: Duration) {
        self.request_body.set(Some(limit));
    }

    pub(super) fn request_body(&self) -> Option<Duration> {
        self.request_body.get()
    }

    /// How long the upstream may keep this client waiting: for a response's head once the
    /// request was sent, and for each further piece of it. A wait that is under way begins
    /// anew.
    pub fn set_response(&self, head: Option<Duration>, body: Option<Duration>) {
        self.response_head.set(head);
        self.response_body.set(body);
        self.response_renewed.store(true, Ordering::Relaxed);
    }

    pub(super) fn response(&self, expects_head: bool) -> Option<Duration> {
        if expects_head { self.response_head.get() } else { self.response_body.get() }
    }

    /// Whether [`Self::set_response`] was called since this was last asked.
    pub(super) fn take_response_renewed(&self) -> bool {
        self.response_renewed.swap(false, Ordering::Relaxed)
    }

    /// How long the client may take nothing of the response.
    pub fn set_write(&self, limit: Duration) {
        self.write.set(Some(limit));
    }

    pub(super) fn write(&self) -> Option<Duration> {
        self.write.get()
    }

    /// When the request has to be done with, whatever it waits for.
    pub fn set_request(&self, deadline: Option<Instant>) {
        self.request.set(deadline.map(|deadline| deadline.saturating_duration_since(self.born)));
    }

    pub(super) fn request(&self) -> Option<Instant> {
        self.request.get().map(|after| self.born + after)
    }
}
