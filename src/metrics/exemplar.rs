//! One request of a bucket, by whose id its line in the access log is found. Threads that write the
//! same one at the same time do not wait: one of them leaves it as it is.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// An exemplar stays for so long at least, in milliseconds.
const STAYS: u64 = 1000;

/// An exemplar as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    pub request_id: u128,
    pub nanos: u64,
    /// In milliseconds since 1970.
    pub at: u64,
}

/// The cell of one bucket and thread. Its version is odd while it is written.
#[derive(Debug, Default)]
pub struct ExemplarCell {
    version: AtomicU64,
    /// The upper half, then the lower one.
    request_id: [AtomicU64; 2],
    nanos: AtomicU64,
    at: AtomicU64,
}

impl ExemplarCell {
    pub fn offer(&self, exemplar: Exemplar) {
        let before = self.at.load(Ordering::Relaxed);
        if before != 0 && exemplar.at.saturating_sub(before) < STAYS {
            return;
        }
        let version = self.version.load(Ordering::Relaxed);
        let is_free = version.is_multiple_of(2);
        if !is_free
            || self.version.compare_exchange(version, version + 1, Ordering::Acquire, Ordering::Relaxed).is_err()
        {
            return;
        }
        fence(Ordering::Release);
        let [upper, lower] = halves(exemplar.request_id);
        self.request_id[0].store(upper, Ordering::Relaxed);
        self.request_id[1].store(lower, Ordering::Relaxed);
        self.nanos.store(exemplar.nanos, Ordering::Relaxed);
        self.at.store(exemplar.at, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    /// `None` where there is none, or it is being written.
    pub fn read(&self) -> Option<Exemplar> {
        let version = self.version.load(Ordering::Acquire);
        let [upper, lower] = [0, 1].map(|half| u128::from(self.request_id[half].load(Ordering::Relaxed)));
        let exemplar = Exemplar {
            request_id: upper << 64 | lower,
            nanos: self.nanos.load(Ordering::Relaxed),
            at: self.at.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        let is_whole = version > 0 && version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        is_whole.then_some(exemplar)
    }
}

#[allow(clippy::cast_possible_truncation)] // that is how it is halved
fn halves(id: u128) -> [u64; 2] {
    [(id >> 64) as u64, id as u64]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubled(half: u64) -> u128 {
        u128::from(half) << 64 | u128::from(half)
    }

    #[test]
    fn an_exemplar_is_never_of_two_requests() {
        let cell = ExemplarCell::default();
        assert_eq!(cell.read(), None);
        std::thread::scope(|scope| {
            for thread in 1..=3_u64 {
                let cell = &cell;
                scope.spawn(move || {
                    for n in 1..20_000_u64 {
                        let at = n * STAYS * thread;
                        cell.offer(Exemplar { request_id: doubled(at), nanos: at, at });
                    }
                });
            }
            for _ in 0..20_000 {
                if let Some(seen) = cell.read() {
                    assert_eq!((seen.request_id, seen.nanos), (doubled(seen.at), seen.at));
                }
            }
        });
        assert!(cell.read().is_some());
    }

    #[test]
    fn an_exemplar_stays_for_a_while() {
        let cell = ExemplarCell::default();
        let offer = |at: u64| cell.offer(Exemplar { request_id: at.into(), nanos: 1, at });
        [5000, 5999].into_iter().for_each(offer);
        assert_eq!(cell.read().unwrap().request_id, 5000);
        offer(6000);
        assert_eq!(cell.read().unwrap().request_id, 6000);
    }
}
