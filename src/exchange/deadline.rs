//! The deadlines of one exchange: the hooks set them, and the driver of the client's
//! connection asks for them whenever it waits, be it to read or to write.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How a client has to keep up with the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long it may take nothing of a response.
    pub write_idle: Duration,
    /// How fast it sends a body and takes a response, in bytes per second.
    pub min_rate: Option<NonZeroU64>,
}

/// A deadline of an exchange that has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// The client sent nothing more of its body.
    RequestBody,
    /// The client sent its body more slowly than it must.
    RequestRate,
    /// The client sent no more of its body once it had the whole response.
    RestOfBody,
    /// The upstream sent no response, or nothing more of it.
    Response,
    /// The request with all its attempts did not end.
    Request,
    /// The client took nothing more of the response.
    Write,
    /// The client took the response more slowly than it must.
    ResponseRate,
    /// The time of the whole request was over while the client still had to take the response.
    Delivery,
    /// The process ends, and the time that it gives tunnels and event streams is over.
    Tunnel,
}

impl std::fmt::Display for Overdue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RequestBody => "the client's body did not arrive in time",
            Self::RequestRate => "the client sent its body too slowly",
            Self::RestOfBody => "the rest of the client's body did not arrive after the response",
            Self::Response => "the upstream did not answer in time",
            Self::Request => "the request did not end in time",
            Self::Write => "the client did not take the response in time",
            Self::ResponseRate => "the client took the response too slowly",
            Self::Delivery => "the client had not taken the whole response when the request had to end",
            Self::Tunnel => "the process ends, and the time of the tunnel was over",
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
struct Limit(AtomicU64);

impl Limit {
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
    /// In bytes per second; 0 is none.
    min_rate: AtomicU64,
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
            write: Limit::default(),
            min_rate: AtomicU64::new(0),
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

    pub fn request_body(&self) -> Option<Duration> {
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

    pub fn response(&self, expects_head: bool) -> Option<Duration> {
        if expects_head { self.response_head.get() } else { self.response_body.get() }
    }

    /// Whether [`Self::set_response`] was called since this was last asked.
    pub fn take_response_renewed(&self) -> bool {
        self.response_renewed.swap(false, Ordering::Relaxed)
    }

    /// How the client has to keep up.
    pub fn set_pace(&self, pace: Pace) {
        self.write.set(Some(pace.write_idle));
        self.min_rate.store(pace.min_rate.map_or(0, NonZeroU64::get), Ordering::Relaxed);
    }

    /// The client may be as slow as it likes.
    pub(super) fn remove_min_rate(&self) {
        self.min_rate.store(0, Ordering::Relaxed);
    }

    pub fn min_rate(&self) -> Option<NonZeroU64> {
        NonZeroU64::new(self.min_rate.load(Ordering::Relaxed))
    }

    pub fn write(&self) -> Option<Duration> {
        self.write.get()
    }

    /// When the request has to be done with, whatever it waits for.
    pub fn set_request(&self, deadline: Option<Instant>) {
        self.request.set(deadline.map(|deadline| deadline.saturating_duration_since(self.born)));
    }

    pub fn request(&self) -> Option<Instant> {
        self.request.get().map(|after| self.born + after)
    }
}
