//! What is known of a connection from its beginning, for each of its requests:
//! made once, found by the hooks through Pingora's connection digest.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use pingora_core::protocols::Digest;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_http::ResponseHeader;

use super::answer::Date;
use super::connections::Activity;
use super::upload::Upload;
use crate::message::forwarded;

/// The other end of a client's connection.
#[derive(Debug)]
pub struct Peer {
    /// `None` on a unix socket.
    pub ip: Option<IpAddr>,
    /// As `X-Forwarded-For` names it.
    pub forwarded_for: HeaderValue,
    /// The `for=` parameter of `Forwarded` (RFC 7239).
    pub forwarded: String,
    activity: AtomicU8,
    probe: AtomicBool,
    /// Shared by all connections of the process.
    closing: Arc<AtomicBool>,
    /// In milliseconds; 0 is for ever.
    before_head: AtomicU64,
    after_head: AtomicU64,
    anew: AtomicBool,
    /// In milliseconds.
    within_body: AtomicU64,
    born: Instant,
    /// In milliseconds from `born` on; 0 is never.
    ends_by: AtomicU64,
    pub(super) upload: Upload,
    /// Pingora replaces the `Date` of every response; [`super::answer`] puts this back.
    date: Mutex<Option<Date>>,
}

impl Peer {
    /// `closing`: whether answers end their connections, because the process is about to.
    pub fn new(ip: Option<IpAddr>, closing: Arc<AtomicBool>) -> Self {
        let address = HeaderValue::try_from(forwarded::address(ip));
        Self {
            ip,
            forwarded_for: address.unwrap_or(HeaderValue::from_static("unknown")),
            forwarded: forwarded::node(ip),
            activity: AtomicU8::new(Activity::Idle as u8),
            probe: AtomicBool::new(false),
            closing,
            before_head: AtomicU64::new(0),
            after_head: AtomicU64::new(0),
            anew: AtomicBool::new(false),
            within_body: AtomicU64::new(0),
            born: Instant::now(),
            ends_by: AtomicU64::new(0),
            upload: Upload::new(),
            date: Mutex::new(None),
        }
    }

    /// The peer of the connection that a digest tells of.
    pub fn of(digest: Option<&Digest>) -> Option<&Self> {
        digest?.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    /// Whether the next answer ends the connection.
    pub fn ends_after_answer(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    pub(super) fn be_probe(&self) {
        self.probe.store(true, Ordering::Relaxed);
    }

    /// Whether it is this process that asks, to see whether it can serve.
    pub fn is_probe(&self) -> bool {
        self.probe.load(Ordering::Relaxed)
    }

    pub fn activity(&self) -> Activity {
        Activity::of(self.activity.load(Ordering::Relaxed))
    }

    pub fn set_activity(&self, activity: Activity) {
        self.activity.store(activity as u8, Ordering::Relaxed);
    }

    /// How long the upstream may keep this client waiting: for a response's head once
    /// the request was sent, and for each further piece. `None` is for ever. A wait
    /// that is under way begins anew.
    pub fn wait_at_most(&self, for_head: Option<Duration>, for_more: Option<Duration>) {
        for (place, limit) in [(&self.before_head, for_head), (&self.after_head, for_more)] {
            place.store(limit.map_or(0, millis), Ordering::Relaxed);
        }
        self.anew.store(true, Ordering::Relaxed);
    }

    pub(super) fn longest_wait(&self, for_head: bool) -> Option<Duration> {
        let millis = if for_head { &self.before_head } else { &self.after_head }.load(Ordering::Relaxed);
        (millis > 0).then(|| Duration::from_millis(millis))
    }

    /// Whether a wait begins anew; asked once.
    pub(super) fn take_anew(&self) -> bool {
        self.anew.swap(false, Ordering::Relaxed)
    }

    /// How long the client may be silent in the middle of a body.
    pub fn expect_body_within(&self, limit: Duration) {
        self.within_body.store(millis(limit), Ordering::Relaxed);
    }

    pub(super) fn longest_silence(&self) -> Duration {
        Duration::from_millis(self.within_body.load(Ordering::Relaxed))
    }

    /// When the request has to be done with, whatever it waits for.
    pub fn end_by(&self, due: Option<Instant>) {
        let due = due.map_or(0, |due| millis(due.saturating_duration_since(self.born)));
        self.ends_by.store(due, Ordering::Relaxed);
    }

    pub(super) fn ends_by(&self) -> Option<Instant> {
        let due = self.ends_by.load(Ordering::Relaxed);
        (due > 0).then(|| self.born + Duration::from_millis(due))
    }

    /// Another attempt to send the request begins. `longest`: how long Pingora tries to
    /// send one piece of its body.
    pub fn begin_upload(&self, longest: Option<Duration>) {
        self.upload.begin(longest);
    }

    /// The `Date` that the next response head shall carry.
    pub fn keep_date(&self, date: Date) {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
    }

    pub(super) fn take_date(&self) -> Option<Date> {
        self.date.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Never 0, which is no limit.
pub(super) fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// A [`Peer`] where the hooks can reach it: Pingora keeps one thing of ours with
/// each connection, in the digest it has for CONNECT proxies.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<ProxyDigest>);

impl Shared {
    /// `None` when Pingora cannot make the digest's empty response.
    pub fn new(peer: Peer) -> Option<Self> {
        let nothing = ResponseHeader::build(200, Some(0)).ok()?;
        Some(Self(Arc::new(ProxyDigest::new(Box::new(nothing), Some(Box::new(peer))))))
    }

    pub fn of(digest: Option<&Digest>) -> Option<Self> {
        digest?.proxy_digest.clone().map(Self)
    }

    pub fn digest(&self) -> Arc<ProxyDigest> {
        Arc::clone(&self.0)
    }

    pub fn peer(&self) -> Option<&Peer> {
        self.0.user_data.as_ref()?.downcast_ref()
    }
}
