//! What the log says of clients' connections that are refused or cut off: one line now and then,
//! because anybody can cause as many as he likes.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::Level;

/// The time between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

static SUPPRESSED: AtomicU64 = AtomicU64::new(0);

/// The number of lines of all kinds that were not said, since the process began.
pub fn suppressed_lines() -> u64 {
    SUPPRESSED.load(Ordering::Relaxed)
}

/// The lines of one kind.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    /// Says it, or counts it for the next line; level `debug` has every one. `module` is whose line it
    /// is, by which the log has a word for what it is about.
    pub fn say(&self, level: Level, module: &str, what: &dyn Display) {
        match self.turn(Instant::now()) {
            Some(0) => log::log!(target: module, level, "{what}"),
            Some(more) => log::log!(target: module, level, "{what} ({more} more since the last such line)"),
            None => {
                SUPPRESSED.fetch_add(1, Ordering::Relaxed);
                log::debug!(target: module, "{what}");
            }
        }
    }

    /// How many were not said before this one; `None` where this one is not said either.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            state.unsaid += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_that_counts_the_others() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        let turns: Vec<_> = (0..5).map(|_| complaints.turn(start)).collect();
        assert_eq!(turns, [Some(0), None, None, None, None]);
        assert_eq!(complaints.turn(start + INTERVAL), Some(4));
        assert_eq!(complaints.turn(start + 3 * INTERVAL), Some(0));
    }
}
