//! How long a client that is slow may be waited for: a budget of waiting. It drains only
//! while the proxy waits for the client, never while it waits for the upstream, and each
//! byte that the client sent or took gives back the time that the byte may take.

use std::num::NonZeroU64;
use std::time::Duration;

use tokio::time::Instant;

/// What a client has before its first byte.
pub(super) const GRACE: Duration = Duration::from_secs(30);
/// A budget never holds more than these bytes may take, unless that is less than [`GRACE`].
/// The kernel takes a response in pieces of that order, so that it looks like a pause.
const SAVED: u64 = 128 * 1024;

/// The budget of one direction of an exchange.
#[derive(Debug)]
pub(super) struct WaitBudget {
    left: Duration,
    /// What moved since `left` was last computed.
    bytes: u64,
    /// Since when the client is waited for.
    since: Option<Instant>,
}

impl Default for WaitBudget {
    fn default() -> Self {
        Self { left: GRACE, bytes: 0, since: None }
    }
}

impl WaitBudget {
    /// The client sent or took some bytes.
    pub fn moved(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// The client is waited for from now on; returns how long it may be. `most` is another
    /// bound of what is left of the budget.
    pub fn begin(&mut self, rate: NonZeroU64, most: Duration) -> Duration {
        self.pause();
        let earned = time_of(std::mem::take(&mut self.bytes), rate);
        self.left = (self.left + earned).min(GRACE.max(time_of(SAVED, rate))).min(most);
        self.since = Some(Instant::now());
        self.left
    }

    /// The client is not waited for any more.
    pub fn pause(&mut self) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }
}

/// How long so many bytes may take.
fn time_of(bytes: u64, rate: NonZeroU64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.get());
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const KIB: NonZeroU64 = NonZeroU64::new(1024).unwrap();
    const FOREVER: Duration = Duration::MAX;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(test);
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn only_the_time_of_waiting_drains_it() {
        run(async {
            let mut budget = WaitBudget::default();
            assert_eq!(budget.begin(KIB, FOREVER), GRACE);
            advance(seconds(10)).await;
            budget.pause();
            // The proxy waits for the upstream.
            advance(seconds(3600)).await;
            budget.pause();
            assert_eq!(budget.begin(KIB, FOREVER), seconds(20));
        });
    }

    #[test]
    fn a_byte_gives_back_the_time_that_it_may_take() {
        run(async {
            let mut budget = WaitBudget::default();
            for _ in 0..10_000 {
                budget.begin(KIB, FOREVER);
                advance(seconds(1)).await;
                budget.moved(1024);
            }
            assert_eq!(budget.begin(KIB, FOREVER), GRACE);
            // Half as fast: what is left is gone in twice the time.
            for _ in 0..28 {
                budget.begin(KIB, FOREVER);
                advance(seconds(2)).await;
                budget.moved(1024);
            }
            assert_eq!(budget.begin(KIB, FOREVER), seconds(2));
        });
    }

    #[test]
    fn what_is_saved_up_has_a_bound() {
        run(async {
            let mut budget = WaitBudget::default();
            budget.moved(u64::MAX);
            budget.moved(1 << 30);
            assert_eq!(budget.begin(KIB, FOREVER), seconds(128));
            let mut fast = WaitBudget::default();
            fast.moved(1 << 30);
            assert_eq!(fast.begin(NonZeroU64::new(1 << 20).unwrap(), FOREVER), GRACE);
            assert_eq!(fast.begin(KIB, seconds(5)), seconds(5));
        });
    }
}
