//! What the process is doing, for all its threads: the admin endpoint's, those of the
//! control socket, the supervisor's.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::config::Config;
use crate::server::journal::Journal;

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
    /// When the one in force was put in force, in seconds since 1970.
    in_force_since: AtomicU64,
    is_last_reload_refused: AtomicBool,
    pub started: Instant,
    /// The same, in seconds since 1970.
    pub started_at: u64,
    /// What was done to it.
    pub journal: Journal,
}

impl Status {
    /// Of a process that starts with this configuration.
    pub fn new(config: &Config) -> Self {
        Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            generation: AtomicU64::new(1),
            in_force_since: AtomicU64::new(now()),
            is_last_reload_refused: AtomicBool::new(false),
            started: Instant::now(),
            started_at: now(),
            journal: Journal::new(config.clone()),
        }
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
        self.in_force_since.store(now(), Ordering::Relaxed);
        self.is_last_reload_refused.store(false, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes a reload that left everything as it was.
    pub fn reload_refused(&self) {
        self.is_last_reload_refused.store(true, Ordering::Relaxed);
    }

    pub fn is_last_reload_refused(&self) -> bool {
        self.is_last_reload_refused.load(Ordering::Relaxed)
    }

    /// When the configuration in force was put in force, in seconds since 1970.
    pub fn in_force_since(&self) -> u64 {
        self.in_force_since.load(Ordering::Relaxed)
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
