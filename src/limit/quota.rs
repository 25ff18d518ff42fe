//! The arithmetic of a limit: the generic cell rate algorithm (GCRA, ITU-T I.371), which is a
//! bucket that leaks, told by one number.
//!
//! That number is the time at which a key will have paid for all its requests, the theoretical
//! arrival time. A request costs one interval; it passes unless the debt would then be larger than
//! the whole burst. Nothing is counted by calendar, so that nobody gets twice the limit around the
//! end of a minute. Times are nanoseconds since a start of the caller's.

use std::time::Duration;

use crate::config::RequestRate;

/// How many requests pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Between two requests that come evenly, in nanoseconds.
    interval: u64,
    burst: u32,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub passes: bool,
    /// Requests that could follow at once.
    pub remaining: u32,
    /// Until one more could.
    pub wait: Duration,
}

impl Quota {
    pub fn new(rate: RequestRate, burst: u32) -> Self {
        let unit = u64::try_from(rate.per.as_nanos()).unwrap_or(u64::MAX);
        // Rounded up: never more than the rate.
        Self { interval: unit.div_ceil(u64::from(rate.count.max(1))), burst: burst.max(1) }
    }

    pub fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// The largest debt with which a key may be left.
    pub fn tolerance(&self) -> Duration {
        Duration::from_nanos(self.most_debt())
    }

    fn most_debt(&self) -> u64 {
        self.interval.saturating_mul(u64::from(self.burst))
    }

    /// Decides on a request that comes at `now` with a key that will have paid at `paid`; and when
    /// it will have paid then.
    pub fn take(&self, paid: u64, now: u64) -> (Decision, u64) {
        let paid = paid.max(now);
        let debt = (paid - now).saturating_add(self.interval);
        let decision = self.read(debt, debt <= self.most_debt());
        (decision, if decision.passes { paid.saturating_add(self.interval) } else { paid })
    }

    /// What a request has still to pay at `now` whose key was told to have paid at `paid`, and that may
    /// have paid for so long already.
    pub fn rest_of_one(&self, paid: u64, now: u64, already: u64) -> u64 {
        paid.saturating_sub(now).min(self.interval.saturating_sub(already))
    }

    /// The decision that left a key with this debt, or refused a request for it.
    pub fn read(&self, debt: u64, passes: bool) -> Decision {
        let most = self.most_debt();
        if !passes {
            return Decision { passes, remaining: 0, wait: Duration::from_nanos(debt.saturating_sub(most)) };
        }
        let left = most.saturating_sub(debt);
        let remaining = u32::try_from(left / self.interval).unwrap_or(u32::MAX);
        Decision { passes, remaining, wait: Duration::from_nanos(self.interval - left % self.interval) }
    }

    /// The whole seconds in which a burst comes together again, and the requests that these bring.
    pub fn window(&self) -> (u64, u64) {
        const SECOND: u64 = 1_000_000_000;
        let seconds = self.most_debt().div_ceil(SECOND);
        (seconds, seconds.saturating_mul(SECOND) / self.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn quota(count: u32, seconds: u64, burst: u32) -> Quota {
        Quota::new(RequestRate { count, per: Duration::from_secs(seconds) }, burst)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let quota = quota(10, 1, 5);
        let mut paid = 0;
        let mut take = |now| {
            let (decision, then) = quota.take(paid, now);
            paid = then;
            decision
        };
        let remaining: Vec<_> = (0..5).map(|_| take(SECOND)).map(|d| (d.passes, d.remaining)).collect();
        assert_eq!(remaining, [(true, 4), (true, 3), (true, 2), (true, 1), (true, 0)]);
        let refused = take(SECOND);
        assert_eq!(refused, Decision { passes: false, remaining: 0, wait: Duration::from_millis(100) });
        assert!(!take(SECOND + 99_999_999).passes);
        assert_eq!(
            take(SECOND + SECOND / 10),
            Decision { passes: true, remaining: 0, wait: Duration::from_millis(100) }
        );
        // A long pause brings no more than the burst.
        assert_eq!((0..9).filter(|_| take(100 * SECOND).passes).count(), 5);
    }

    #[test]
    fn whatever_the_order_no_window_takes_more_than_rate_and_burst() {
        for (count, seconds, burst) in [(1, 1, 2), (3, 1, 2), (700_000, 1, 10), (5, 60, 5), (1000, 3600, 50)] {
            let quota = quota(count, seconds, burst);
            let (mut paid, mut now, mut passed) = (0, 7 * SECOND, 0_u64);
            let (start, mut state) = (now, 1_u64);
            for _ in 0..20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                now += (state >> 33) % (quota.interval / 2 + 2);
                let (decision, then) = quota.take(paid, now);
                (paid, passed) = (then, passed + u64::from(decision.passes));
            }
            let most = u64::from(burst) + (now - start) / quota.interval;
            assert!(passed <= most && passed + 2 + most / 100 >= most, "{passed} of {most} at {count}/{seconds}");
        }
    }

    #[test]
    fn a_window_says_the_rate_in_whole_seconds() {
        assert_eq!(quota(100, 1, 200).window(), (2, 200));
        assert_eq!(quota(100, 1, 10).window(), (1, 100));
        assert_eq!(quota(5, 60, 5).window(), (60, 5));
        assert_eq!(quota(1000, 3600, 1).window(), (4, 1));
        assert_eq!(quota(1, 3600, 1_000_000).window(), (3_600_000_000, 1_000_000));
    }

    #[test]
    fn the_ends_of_the_scale_do_not_overflow() {
        let (slow, fast) = (quota(1, 3600, 1_000_000), quota(1_000_000, 1, 1));
        for quota in [slow, fast] {
            for (paid, now) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX)] {
                let (_, then) = quota.take(paid, now);
                assert!(then >= paid);
            }
        }
    }
}
