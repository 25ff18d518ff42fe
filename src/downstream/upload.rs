//! How much of a request's body the upstream has taken. Pingora tells nobody: its
//! two halves share a pipe of pieces, and once it has given up sending, it takes no
//! more of them and waits for a response, if need be for ever. So each piece tells
//! when it is let go, and the client's side never fills the pipe: while it is full,
//! Pingora does not even look at the client.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Context;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use pingora_core::protocols::Digest;

use super::peer::{Shared, millis};

/// Pingora's pipe has room for four, one of which may be the end of the body.
const MOST: usize = 2;
/// Pingora's clock may ring so much too early.
const EARLY: Duration = Duration::from_millis(2);

/// The body of a connection's present request.
#[derive(Debug)]
pub(super) struct Upload {
    born: Instant,
    under_way: AtomicUsize,
    /// When a piece last set out or was let go, in microseconds from `born` on.
    since: AtomicU64,
    /// How long Pingora tries to send one, in milliseconds; 0 is for ever.
    longest: AtomicU64,
    given_up: AtomicBool,
    reader: AtomicWaker,
}

impl Upload {
    pub fn new() -> Self {
        Self {
            born: Instant::now(),
            under_way: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            given_up: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        }
    }

    /// Another attempt at sending begins.
    pub fn begin(&self, longest: Option<Duration>) {
        self.longest.store(longest.map_or(0, millis), Ordering::Relaxed);
        self.given_up.store(false, Ordering::Relaxed);
    }

    /// Whoever reads from the client hears when Pingora gives up, and when there is room.
    pub fn listen(&self, cx: &Context<'_>) {
        if self.under_way.load(Ordering::Acquire) > 0 {
            self.reader.register(cx.waker());
        }
    }

    /// Whether as much is under way as may be.
    pub fn is_full(&self, cx: &Context<'_>) -> bool {
        // Before it is looked at: what is let go in between must be heard.
        self.listen(cx);
        self.under_way.load(Ordering::Acquire) >= MOST
    }

    /// Whether the upstream took a piece for so long that Pingora gave up.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Since when the upstream has had all that it takes; `None` while it has not.
    pub fn taken_since(&self) -> Option<Instant> {
        let taken = self.under_way.load(Ordering::Acquire) == 0 || self.is_given_up();
        taken.then(|| self.born + Duration::from_micros(self.since.load(Ordering::Relaxed)))
    }

    /// What is under way was held up by the client and not by the upstream.
    pub fn excuse(&self) {
        if self.under_way.load(Ordering::Relaxed) > 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn set_out(&self) {
        if self.under_way.fetch_add(1, Ordering::AcqRel) == 0 {
            self.since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// What comes later than Pingora tries was not taken, unless more is taken afterwards.
    fn let_go(&self) {
        let now = self.now();
        let took = Duration::from_micros(now.saturating_sub(self.since.swap(now, Ordering::Relaxed)));
        let longest = self.longest.load(Ordering::Relaxed);
        let late = longest > 0 && took + EARLY >= Duration::from_millis(longest);
        self.given_up.store(late, Ordering::Relaxed);
        let before = self.under_way.fetch_sub(1, Ordering::AcqRel);
        if late || before >= MOST {
            self.reader.wake();
        }
    }
}

/// Made into `Bytes`, it tells the connection when the last of them are dropped.
struct Piece {
    bytes: Bytes,
    connection: Shared,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(peer) = self.connection.peer() {
            peer.upload.let_go();
        }
    }
}

/// The same bytes of a request's body, followed on their way to the upstream.
pub fn followed(bytes: Bytes, client: Option<&Digest>) -> Bytes {
    let Some(connection) = Shared::of(client) else {
        return bytes;
    };
    if let Some(peer) = connection.peer() {
        peer.upload.set_out();
    }
    Bytes::from_owner(Piece { bytes, connection })
}

#[cfg(test)]
mod tests {
    use super::super::peer::Peer;
    use super::*;
    use std::sync::Arc;
    use std::task::Waker;

    fn connection() -> (Shared, Digest) {
        let shared = Shared::new(Peer::new(None, Arc::default())).unwrap();
        let digest = Digest { proxy_digest: Some(shared.digest()), ..Digest::default() };
        (shared, digest)
    }

    #[test]
    fn pieces_are_under_way_until_they_are_dropped() {
        let (shared, digest) = connection();
        let upload = &shared.peer().unwrap().upload;
        let cx = Context::from_waker(Waker::noop());
        upload.begin(Some(Duration::from_secs(60)));
        let first = followed(Bytes::from_static(b"one"), Some(&digest));
        assert_eq!((&first[..], upload.is_full(&cx), upload.taken_since()), (&b"one"[..], false, None));
        let (second, part) = (followed(Bytes::from_static(b"two"), Some(&digest)), first.slice(1..));
        assert!(upload.is_full(&cx));
        drop(first);
        assert!(upload.is_full(&cx));
        drop(part);
        assert!(!upload.is_full(&cx) && upload.taken_since().is_none());
        drop(second);
        assert!(upload.taken_since().is_some_and(|since| since <= Instant::now()) && !upload.is_given_up());
    }

    #[test]
    fn a_piece_that_is_let_go_too_late_was_given_up() {
        let (shared, digest) = connection();
        let upload = &shared.peer().unwrap().upload;
        let send = |wait: u64| {
            let piece = followed(Bytes::from_static(b"x"), Some(&digest));
            std::thread::park_timeout(Duration::from_millis(wait));
            piece
        };
        upload.begin(Some(Duration::from_millis(30)));
        drop(send(31));
        assert!(upload.is_given_up());
        drop(send(0));
        assert!(!upload.is_given_up());
        let held = send(31);
        upload.excuse();
        drop(held);
        assert!(!upload.is_given_up());
        upload.begin(None);
        drop(send(31));
        assert!(!upload.is_given_up());
    }
}
