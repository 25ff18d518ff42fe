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
    },
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

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Fine,
    /// What was in flight was cut.
    Forced(String),
    /// The process could not serve, or no more on a listener, for this reason.
    Failed(String),
}
