//! Where the process is on its way to the end, and how it ended.

use std::time::{Duration, Instant};

/// How often an ending process looks whether its connections are done.
pub const TICK: Duration = Duration::from_millis(5);
/// How often a serving process looks at its file, and whether QUIT has waited long enough.
const SERVING_TICK: Duration = Duration::from_millis(500);

/// Where the process is between its start and its end.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    Serving,
    /// The process serves everything and says that it is not ready (`drain.delay`).
    Delay {
        until: Instant,
    },
    /// The listeners are closed; requests in flight are finished.
    Draining {
        since: Instant,
        until: Instant,
    },
    /// A newer process has the listeners.
    HandedOver {
        since: Instant,
        /// `None` once the tunnels were ended.
        tunnels_until: Option<Instant>,
        /// What is still in flight then is cut.
        until: Instant,
        /// `None` once the hand-over is final.
        probation: Option<Probation>,
    },
}

/// The time in which a newer process is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probation {
    /// The newer process.
    pub pid: u32,
    pub until: Instant,
}

impl Probation {
    fn describe(self, now: Instant) -> String {
        format!(", on watch over process {} for {} s more", self.pid, seconds_left(self.until, now))
    }
}

fn seconds_left(until: Instant, now: Instant) -> f64 {
    until.saturating_duration_since(now).as_secs_f64().ceil()
}

impl Stage {
    /// How soon the stage is to be looked at again.
    pub fn tick(self) -> Duration {
        match self {
            Self::Serving => SERVING_TICK,
            Self::Delay { .. } | Self::Draining { .. } => TICK,
            Self::HandedOver { .. } => TICK * 4,
        }
    }
}

impl Stage {
    /// Since when the process is on its way to the end and when it is gone, as a clause.
    pub fn describe(self, now: Instant) -> String {
        let (done, since, until, probation) = match self {
            Self::Serving => return String::new(),
            Self::Delay { until } => return format!("; it closes its listeners in {} s", seconds_left(until, now)),
            Self::Draining { since, until } => ("began to drain", since, until, None),
            Self::HandedOver { since, until, probation, .. } => ("handed over", since, until, probation),
        };
        let ago = now.saturating_duration_since(since).as_secs();
        let watch = probation.map_or(String::new(), |probation| probation.describe(now));
        format!("; {done} {ago} s ago{watch}, gone in {} s at the latest", seconds_left(until, now))
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Fine,
    /// What was in flight was cut.
    Forced(String),
    /// The process could not serve, or no more on a listener, for this reason.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_tells_since_when_and_until_when() {
        let began = Instant::now();
        let (now, until) = (began + Duration::from_secs(12), began + Duration::from_millis(300_500));
        let old = |probation| Stage::HandedOver { since: began, tunnels_until: None, until, probation };
        assert_eq!(old(None).describe(now), "; handed over 12 s ago, gone in 289 s at the latest");
        let probation = Probation { pid: 7, until: began + Duration::from_secs(30) };
        assert_eq!(
            old(Some(probation)).describe(now),
            "; handed over 12 s ago, on watch over process 7 for 18 s more, gone in 289 s at the latest"
        );
        let draining = Stage::Draining { since: began, until: began };
        assert_eq!(draining.describe(now), "; began to drain 12 s ago, gone in 0 s at the latest");
        assert_eq!(Stage::Delay { until }.describe(now), "; it closes its listeners in 289 s");
        assert_eq!(Stage::Serving.describe(now), "");
    }
}
