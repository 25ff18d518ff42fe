//! Where the process is on its way to the end, and how it ended.

use std::time::{Duration, Instant};

/// How often an ending process looks whether it is done.
pub const TICK: Duration = Duration::from_millis(5);
/// How often a serving process looks at what is no event: its file, a QUIT that waits.
const SERVING_TICK: Duration = Duration::from_millis(500);

/// Where the process is on its way to the end.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    Serving,
    /// Everything is still served, and nothing more is wanted.
    Delay {
        until: Instant,
    },
    /// The listeners are closed.
    Draining {
        since: Instant,
        until: Instant,
    },
    /// A newer process has the listeners.
    HandedOver {
        since: Instant,
        /// `None` once they were ended.
        tunnels_until: Option<Instant>,
    },
}

impl Stage {
    /// How soon it is to be looked at again.
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
    /// What was in flight and was cut.
    Forced(String),
    /// It never served, and why.
    Failed(String),
}
