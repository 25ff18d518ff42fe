//! How long an upstream may take nothing of what it is sent.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::exchange::Timer;

/// The longest for one that has answered.
const AFTER_RESPONSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub struct Stall {
    /// The upstream's `write_idle`.
    pub write_timeout: Option<Duration>,
    /// How long it has now; `None` while it takes what there is.
    limit: Option<Duration>,
    timer: Timer,
}

impl Stall {
    /// It has taken everything.
    pub fn reset(&mut self) {
        self.limit = None;
    }

    /// Ready once it has taken nothing for too long. `is_moving`: it has just taken something.
    pub fn poll(&mut self, is_moving: bool, is_answered: bool, cx: &mut Context<'_>) -> Poll<()> {
        let limit = match self.write_timeout {
            Some(limit) if is_answered => limit.min(AFTER_RESPONSE),
            Some(limit) => limit,
            None if is_answered => AFTER_RESPONSE,
            None => return Poll::Pending,
        };
        if is_moving || self.limit.replace(limit) != Some(limit) {
            self.limit = Some(limit);
            self.timer.set(limit);
        }
        self.timer.poll(cx)
    }
}
