//! How much of a response's body waits for the client to take it. The client's driver says so,
//! and the upstream's reads no more while that is much.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;

use super::window::WINDOW;

/// So many pieces may be between the two drivers, as Pingora's pipe has room for.
const PIECES: usize = 4;

/// The way of one response's body to the client.
#[derive(Debug, Default)]
pub struct Download {
    /// In bytes, at the client's driver.
    waiting: AtomicUsize,
    /// What the upstream's driver has read and the client's has not got, in pieces and in bytes.
    pieces: AtomicUsize,
    between: AtomicUsize,
    /// A window is under way, and has not gone yet.
    is_full: AtomicBool,
    /// A tunnel ends, whatever the upstream has still to send.
    cut: AtomicBool,
    /// The task that reads from the upstream.
    reader: AtomicWaker,
}

impl Download {
    /// Another attempt at getting a response begins.
    pub(super) fn begin_attempt(&self) {
        self.waiting.store(0, Ordering::Relaxed);
        self.pieces.store(0, Ordering::Relaxed);
        self.between.store(0, Ordering::Relaxed);
        self.is_full.store(false, Ordering::Relaxed);
        self.cut.store(false, Ordering::Relaxed);
    }

    /// A piece of so many bytes was read from the upstream.
    pub fn piece_read(&self, bytes: usize) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.between.fetch_add(bytes, Ordering::Relaxed);
        if self.under_way() >= WINDOW || self.pieces.load(Ordering::Relaxed) >= PIECES {
            self.is_full.store(true, Ordering::Relaxed);
        }
    }

    fn under_way(&self) -> usize {
        self.waiting.load(Ordering::Relaxed) + self.between.load(Ordering::Relaxed)
    }

    /// So many bytes wait for the client to take them, after its driver has got `arrived` more
    /// pieces.
    pub fn set_waiting(&self, bytes: usize, arrived: usize) {
        self.waiting.store(bytes, Ordering::Relaxed);
        if arrived > 0 {
            let left = self.pieces.load(Ordering::Relaxed).saturating_sub(arrived);
            self.pieces.store(left, Ordering::Relaxed);
            if left == 0 {
                self.between.store(0, Ordering::Relaxed);
            }
        }
        if self.is_full() && self.under_way() == 0 && self.pieces.load(Ordering::Relaxed) == 0 {
            self.is_full.store(false, Ordering::Relaxed);
            self.reader.wake();
        }
    }

    /// Whether so much is under way that no more is read from the upstream.
    pub fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Whether more may be read from the upstream. Wakes the task once that changes.
    pub fn has_room(&self, cx: &Context<'_>) -> bool {
        self.register_waker(cx);
        !self.is_full()
    }

    /// Wakes the task when there is room again, and when the tunnel is cut.
    pub fn register_waker(&self, cx: &Context<'_>) {
        self.reader.register(cx.waker());
    }

    /// Ends the tunnel as if the upstream had closed its direction.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.reader.wake();
    }

    pub fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn the_upstream_is_read_until_a_window_waits() {
        let download = Download::default();
        let has_room = || download.has_room(&Context::from_waker(Waker::noop()));
        for _ in 0..PIECES {
            assert!(has_room());
            download.piece_read(1);
        }
        assert!(!has_room());
        download.set_waiting(PIECES, PIECES);
        assert!(!has_room());
        download.set_waiting(0, 0);
        assert!(has_room());
        download.piece_read(WINDOW);
        assert!(!has_room());
        download.set_waiting(1, 1);
        assert!(!has_room());
        download.set_waiting(0, 0);
        assert!(has_room() && !download.is_cut());
        download.piece_read(WINDOW);
        download.begin_attempt();
        assert!(has_room());
    }
}
