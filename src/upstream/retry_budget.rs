//! The retry budget of an upstream: retries are a share of the requests of the last
//! seconds, so that they never multiply the load of an upstream in trouble. No lock is taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The seconds whose requests and retries count.
const WINDOW: u64 = 5;
/// One slot for each second of the window, and spare ones for the seconds that follow.
const SLOTS: usize = 8;
/// Retries that the window allows in any case: a share of few requests would be none.
const LEAST_RETRIES: u64 = 10;

#[derive(Debug)]
pub struct RetryBudget {
    created: Instant,
    /// Retries in percent of the requests.
    share: u64,
    requests: Counts,
    retries: Counts,
}

impl RetryBudget {
    pub fn new(share: u8) -> Self {
        Self { created: Instant::now(), share: share.into(), requests: Counts::default(), retries: Counts::default() }
    }

    /// Counts a request.
    pub fn deposit(&self, now: Instant) {
        self.requests.add(self.second(now));
    }

    /// Whether one more retry is allowed. If so, it is counted.
    pub fn withdraw(&self, now: Instant) -> bool {
        let second = self.second(now);
        let allowed = (self.requests.sum(second) * self.share / 100).max(LEAST_RETRIES);
        if self.retries.sum(second) >= allowed {
            return false;
        }
        self.retries.add(second);
        true
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.created).as_secs()
    }
}

/// A count for each second. A slot holds the second that it counts in its upper half and
/// the count in its lower half.
#[derive(Debug, Default)]
struct Counts([AtomicU64; SLOTS]);

const COUNT_MASK: u64 = (1 << 32) - 1;

impl Counts {
    fn slot(&self, second: u64) -> &AtomicU64 {
        &self.0[usize::try_from(second).unwrap_or(0) % SLOTS]
    }

    fn add(&self, second: u64) {
        let slot = self.slot(second);
        let seen = slot.load(Ordering::Relaxed);
        if seen >> 32 == second & COUNT_MASK {
            slot.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // The thread that loses the race adds to the slot that the winner began.
        let fresh = (second & COUNT_MASK) << 32 | 1;
        if slot.compare_exchange(seen, fresh, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            slot.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The sum of the window that ends with `second`.
    fn sum(&self, second: u64) -> u64 {
        let first = (second + 1).saturating_sub(WINDOW);
        let of = |second: u64| {
            let seen = self.slot(second).load(Ordering::Relaxed);
            if seen >> 32 == second & COUNT_MASK { seen & COUNT_MASK } else { 0 }
        };
        (first..=second).map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn retries_are_a_share_of_the_requests() {
        let budget = RetryBudget::new(20);
        let mut now = budget.created;
        let (mut requests, mut retries) = (0u32, 0u32);
        for _ in 0..30 {
            for _ in 0..1000 {
                budget.deposit(now);
                requests += 1;
                retries += u32::from(budget.withdraw(now));
            }
            now += Duration::from_secs(1);
        }
        let share = f64::from(retries) / f64::from(requests);
        assert!((0.19..=0.2).contains(&share), "{share}");
    }

    #[test]
    fn few_requests_may_be_tried_again() {
        let budget = RetryBudget::new(20);
        let now = budget.created + Duration::from_secs(100);
        budget.deposit(now);
        assert_eq!((0..20).filter(|_| budget.withdraw(now)).count(), 10);
        assert!(!budget.withdraw(now + Duration::from_secs(4)));
        assert!(budget.withdraw(now + Duration::from_secs(5)));
    }
}
