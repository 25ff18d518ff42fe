//! Requests that a client cancels before their response begins. Each has cost an upstream
//! something and the client nothing (CVE-2023-44487, "rapid reset").

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// How many a client may cancel at once, and how many more in each second.
const BURST: f64 = 200.0;
const PER_SECOND: f64 = 50.0;

/// What a connection has left to cancel.
#[derive(Debug)]
pub(super) struct Cancellations(Mutex<(f64, Instant)>);

impl Default for Cancellations {
    fn default() -> Self {
        Self(Mutex::new((BURST, Instant::now())))
    }
}

impl Cancellations {
    /// A request was cancelled.
    pub fn note(&self) {
        self.note_at(Instant::now());
    }

    fn note_at(&self, now: Instant) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(left.1).as_secs_f64();
        *left = ((left.0 + elapsed * PER_SECOND).min(BURST) - 1.0, now);
    }

    /// Whether there were too many.
    pub fn are_too_many(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 < 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_allowed_and_a_flood_is_not() {
        let (cancellations, start) = (Cancellations::default(), Instant::now());
        (0..200).for_each(|_| cancellations.note_at(start));
        assert!(!cancellations.are_too_many());
        // Fifty in each second may follow.
        for second in 1..5 {
            (0..50).for_each(|_| cancellations.note_at(start + Duration::from_secs(second)));
        }
        assert!(!cancellations.are_too_many());
        (0..2).for_each(|_| cancellations.note_at(start + Duration::from_secs(4)));
        assert!(cancellations.are_too_many());
    }
}
