//! How many requests each endpoint has at the moment. The counters of one pool stand side
//! by side, so that a thousand of them can be compared in well under a microsecond.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

const COUNTERS: usize = 16;

/// One cache line of counters.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU32; COUNTERS]);

/// The counter of one endpoint.
#[derive(Clone, Debug)]
pub struct Load {
    line: Arc<Line>,
    slot: usize,
}

impl Load {
    pub fn get(&self) -> u32 {
        self.line.0[self.slot].load(Ordering::Relaxed)
    }

    pub fn add(&self) {
        self.line.0[self.slot].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request unless there are `limit` already; returns whether it was counted.
    pub fn add_below(&self, limit: u32) -> bool {
        let one_more = |load: u32| (load < limit).then(|| load + 1);
        self.line.0[self.slot].fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    pub fn remove(&self) {
        self.line.0[self.slot].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Gives the endpoints of a pool their counters, line by line.
#[derive(Debug, Default)]
pub struct LoadCounters {
    line: Arc<Line>,
    used: usize,
}

impl LoadCounters {
    pub fn counter(&mut self) -> Load {
        if self.used == COUNTERS {
            *self = Self::default();
        }
        self.used += 1;
        Load { line: Arc::clone(&self.line), slot: self.used - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_apart_and_have_limits() {
        let mut counters = LoadCounters::default();
        let loads: Vec<Load> = (0..40).map(|_| counters.counter()).collect();
        loads[17].add();
        assert!(loads[17].add_below(2) && !loads[17].add_below(2));
        assert_eq!(loads.iter().map(Load::get).sum::<u32>(), 2);
        loads[17].remove();
        assert_eq!(loads[17].get(), 1);
    }
}
