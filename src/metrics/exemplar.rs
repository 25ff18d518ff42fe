//! One request of a bucket, by whose id its line in the access log is found, and its trace where it has one. Threads that write the
//! same one at the same time do not wait: one of them leaves it as it is.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// An exemplar stays for so long at least, in milliseconds.
const STAYS: u64 = 1000;
/// One with a trace is worth as much as one without that is so much newer, in milliseconds: few requests have one
/// where traces are sampled.
const TRACED_WORTH: u64 = 30_000;

/// An exemplar as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    pub request_id: u128,
    pub trace_id: Option<u128>,
    pub nanos: u64,
    /// In milliseconds since 1970.
    pub at: u64,
}

impl Exemplar {
    /// Of two, the one that is worth more is shown.
    pub fn worth(&self) -> u64 {
        worth(self.at, self.trace_id.is_some())
    }
}

fn worth(at: u64, is_traced: bool) -> u64 {
    if is_traced { at.saturating_add(TRACED_WORTH) } else { at }
}

/// The cell of one bucket and thread. Its version is odd while it is written.
#[derive(Debug, Default)]
pub struct ExemplarCell {
    version: AtomicU64,
    /// The upper half, then the lower one.
    request_id: [AtomicU64; 2],
    /// 0 where there is none.
    trace_id: [AtomicU64; 2],
    nanos: AtomicU64,
    at: AtomicU64,
}

impl ExemplarCell {
    pub fn offer(&self, exemplar: Exemplar) {
        let before = self.at.load(Ordering::Relaxed);
        if before != 0 && exemplar.worth().saturating_sub(worth(before, self.is_traced())) < STAYS {
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
        store(&self.request_id, exemplar.request_id);
        store(&self.trace_id, exemplar.trace_id.unwrap_or_default());
        self.nanos.store(exemplar.nanos, Ordering::Relaxed);
        self.at.store(exemplar.at, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    fn is_traced(&self) -> bool {
        self.trace_id[1].load(Ordering::Relaxed) != 0
    }

    /// `None` where there is none, or it is being written.
    pub fn read(&self) -> Option<Exemplar> {
        let version = self.version.load(Ordering::Acquire);
        let exemplar = Exemplar {
            request_id: load(&self.request_id),
            trace_id: Some(load(&self.trace_id)).filter(|id| *id != 0),
            nanos: self.nanos.load(Ordering::Relaxed),
            at: self.at.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        let is_whole = version > 0 && version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        is_whole.then_some(exemplar)
    }
}

#[allow(clippy::cast_possible_truncation)] // that is how it is halved
fn store([upper, lower]: &[AtomicU64; 2], id: u128) {
    upper.store((id >> 64) as u64, Ordering::Relaxed);
    lower.store(id as u64, Ordering::Relaxed);
}

fn load([upper, lower]: &[AtomicU64; 2]) -> u128 {
    u128::from(upper.load(Ordering::Relaxed)) << 64 | u128::from(lower.load(Ordering::Relaxed))
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
                        let trace_id = Some(doubled(at)).filter(|_| n % 2 == 0);
                        cell.offer(Exemplar { request_id: doubled(at), trace_id, nanos: at, at });
                    }
                });
            }
            for _ in 0..20_000 {
                if let Some(seen) = cell.read() {
                    assert_eq!((seen.request_id, seen.nanos), (doubled(seen.at), seen.at));
                    assert_eq!(seen.trace_id.unwrap_or(seen.request_id), seen.request_id);
                }
            }
        });
        assert!(cell.read().is_some());
    }

    #[test]
    fn an_exemplar_stays_for_a_while() {
        let cell = ExemplarCell::default();
        let offer = |at: u64| cell.offer(Exemplar { request_id: at.into(), trace_id: None, nanos: 1, at });
        [5000, 5999].into_iter().for_each(offer);
        assert_eq!(cell.read().unwrap().request_id, 5000);
        offer(6000);
        assert_eq!(cell.read().unwrap().request_id, 6000);
    }

    #[test]
    fn one_with_a_trace_is_kept_for_longer_and_replaces_one_without() {
        let cell = ExemplarCell::default();
        let offer = |at: u64, trace_id| cell.offer(Exemplar { request_id: at.into(), trace_id, nanos: 1, at });
        let shown = || cell.read().map(|exemplar| (exemplar.at, exemplar.trace_id));
        offer(5000, None);
        offer(5001, Some(7));
        assert_eq!(shown(), Some((5001, Some(7))));
        offer(5001 + TRACED_WORTH, None);
        assert_eq!(shown(), Some((5001, Some(7))));
        offer(6001, Some(8));
        assert_eq!(shown(), Some((6001, Some(8))));
        offer(6001 + TRACED_WORTH + STAYS, None);
        assert_eq!(shown(), Some((6001 + TRACED_WORTH + STAYS, None)));
    }
}
