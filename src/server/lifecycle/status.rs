//! What the process is doing, for all its threads: the admin endpoint's, those of the
//! control socket, the supervisor's.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// The process does not serve yet.
    Starting,
    Serving,
    /// The process is about to end and wants no new connection.
    Draining,
    /// A newer process serves.
    HandedOver,
}

impl Phase {
    pub fn describe(self) -> &'static str {
        match self {
            Self::Starting => "it is starting",
            Self::Serving => "it is serving",
            Self::Draining => "it is about to end",
            Self::HandedOver => "it has handed over to a newer process",
        }
    }
}

#[derive(Debug)]
pub struct Status {
    phase: AtomicU8,
    /// The number of configurations that have been in force.
    generation: AtomicU64,
    pub started: Instant,
}

impl Status {
    pub fn new() -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), generation: AtomicU64::new(1), started: Instant::now() }
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            2 => Phase::Draining,
            _ => Phase::HandedOver,
        }
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Counts a reload and says which generation is in force now.
    pub fn reloaded(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }
}
