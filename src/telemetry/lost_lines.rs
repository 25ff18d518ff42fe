//! The lines of a log that are lost, because a disk is full or nobody reads a pipe:
//! they are counted, and the error log says so when it begins, while it lasts and when it is
//! over. Who loses a line never waits for that: a thread of its own tells.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two messages of the same trouble.
const REPORT: Duration = Duration::from_secs(10);
/// How often the thread looks whether the trouble is over.
const TICK: Duration = Duration::from_secs(1);
/// Why a line finds no room.
const BLOCKED: &str = "what was written before is not taken";

static LOST_ACCESS: AtomicU64 = AtomicU64::new(0);
static LOST_ERRORS: AtomicU64 = AtomicU64::new(0);

/// The number of lines of the access log lost since the process began.
pub fn lost_lines() -> u64 {
    LOST_ACCESS.load(Ordering::Relaxed)
}

/// The number of lines of the error log lost since the process began.
pub fn lost_error_lines() -> u64 {
    LOST_ERRORS.load(Ordering::Relaxed)
}

/// Which of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    Access,
    Errors,
}

impl Log {
    pub fn name(self) -> &'static str {
        match self {
            Self::Access => "access log",
            Self::Errors => "error log",
        }
    }

    /// The name of its writer's thread.
    pub fn thread(self) -> &'static str {
        match self {
            Self::Access => "access-log",
            Self::Errors => "error-log",
        }
    }

    fn watcher(self) -> &'static str {
        match self {
            Self::Access => "access-log-watch",
            Self::Errors => "error-log-watch",
        }
    }

    fn counter(self) -> &'static AtomicU64 {
        match self {
            Self::Access => &LOST_ACCESS,
            Self::Errors => &LOST_ERRORS,
        }
    }
}

/// The losses of one log.
#[derive(Debug)]
pub struct LostLines {
    log: Log,
    /// Where the log goes.
    target: String,
    lost: AtomicU64,
    /// Whether the writer has written all that it had since the last line was lost.
    written_since: AtomicBool,
    in_trouble: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Why the writer's last lines were lost; `None` once it has written some.
    failure: Option<String>,
    closed: bool,
}

impl LostLines {
    /// Starts the thread that tells.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn watch(log: Log, target: String) -> std::io::Result<Arc<Self>> {
        let losses = Arc::new(Self {
            log,
            target,
            lost: AtomicU64::new(0),
            written_since: AtomicBool::new(false),
            in_trouble: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let watched = Arc::clone(&losses);
        thread::Builder::new().name(log.watcher().to_owned()).spawn(move || watched.tell())?;
        Ok(losses)
    }

    /// A line found no room.
    pub fn no_room(&self) {
        self.count(1);
    }

    /// The writer could not write this many lines.
    pub fn not_written(&self, lines: u64, failure: &std::io::Error) {
        self.lock().failure = Some(failure.to_string());
        self.count(lines);
    }

    /// The writer wrote all that it had.
    pub fn all_written(&self) {
        if self.in_trouble.load(Ordering::Acquire) {
            self.lock().failure = None;
            self.written_since.store(true, Ordering::Release);
        }
    }

    /// Ends the thread.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn count(&self, lines: u64) {
        self.log.counter().fetch_add(lines, Ordering::Relaxed);
        self.written_since.store(false, Ordering::Release);
        self.lost.fetch_add(lines, Ordering::Release);
        if !self.in_trouble.swap(true, Ordering::AcqRel) {
            // The thread looks at the flag with the lock in its hands, so that it is either
            // before that or waits.
            drop(self.lock());
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        let mut reports = Reports::default();
        while let Some(failure) = self.await_trouble() {
            let (lost, written) = (self.lost.load(Ordering::Acquire), self.written_since.load(Ordering::Acquire));
            let (log, target) = (self.log.name(), &self.target);
            match reports.look(Instant::now(), lost, written) {
                // It would be written where nothing can be written.
                Report::Lost(_) if self.log == Log::Errors => {}
                Report::Lost(lines) => {
                    let failure = failure.as_deref().unwrap_or(BLOCKED);
                    log::error!("{log}: cannot write to {target}: {failure}; {lines} lines are lost so far");
                }
                Report::Over(lines) => {
                    self.in_trouble.store(false, Ordering::Release);
                    log::warn!("{log}: {target} is written again; {lines} lines were lost");
                    continue;
                }
                Report::Nothing => {}
            }
            let state = self.lock();
            if !state.closed {
                drop(self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Waits until lines are lost and returns why; `None` once the log is closed.
    fn await_trouble(&self) -> Option<Option<String>> {
        let mut state = self.lock();
        while !state.closed && !self.in_trouble.load(Ordering::Acquire) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        (!state.closed).then(|| state.failure.clone())
    }
}

/// What is said of a trouble, and when.
#[derive(Debug, Default)]
struct Reports {
    /// What had been lost at the last look; `None` before a trouble.
    seen: Option<u64>,
    /// What had been lost before the trouble.
    before: u64,
    /// What had been lost when it was last said.
    told: u64,
    last: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Report {
    Nothing,
    /// So many lines are lost in this trouble.
    Lost(u64),
    Over(u64),
}

impl Reports {
    /// `lost` is the count of now, `written` says whether lines were written after the last of
    /// these.
    fn look(&mut self, now: Instant, lost: u64, written: bool) -> Report {
        let is_due = self.last.is_none_or(|last| now.duration_since(last) >= REPORT);
        match self.seen {
            Some(before) if lost == before && written => {
                // A trouble that comes and goes is told of no more often than one that stays.
                if self.told <= self.before && !is_due {
                    return Report::Nothing;
                }
                let lines = lost - self.before;
                (self.seen, self.before) = (None, lost);
                Report::Over(lines)
            }
            Some(_) | None => {
                self.seen = Some(lost);
                if !is_due || lost <= self.told {
                    return Report::Nothing;
                }
                (self.last, self.told) = (Some(now), lost);
                Report::Lost(lost - self.before)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_when_it_begins_while_it_lasts_and_when_it_is_over() {
        let (mut reports, start) = (Reports::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(reports.look(at(0), 3, false), Report::Lost(3));
        assert_eq!(reports.look(at(1), 5, true), Report::Nothing);
        assert_eq!(reports.look(at(10), 8, false), Report::Lost(8));
        // Nothing more is lost, and nothing written.
        assert_eq!(reports.look(at(30), 8, false), Report::Nothing);
        assert_eq!(reports.look(at(31), 8, true), Report::Over(8));
        assert_eq!(reports.look(at(32), 9, false), Report::Lost(1));
    }

    #[test]
    fn a_trouble_that_comes_and_goes_is_not_told_each_time() {
        let (mut reports, start) = (Reports::default(), Instant::now());
        let told = (0..1000_u64).filter(|turn| {
            let (lost, written) = (1 + turn / 2, turn % 2 == 1);
            reports.look(start + Duration::from_millis(turn * 100), lost, written) != Report::Nothing
        });
        assert!((18..=22).contains(&told.count()));
    }

    #[test]
    fn who_loses_a_line_does_not_wait() {
        let losses = LostLines::watch(Log::Access, "a file".to_owned()).unwrap();
        let before = lost_lines();
        let began = Instant::now();
        (0..1000).for_each(|_| losses.no_room());
        losses.not_written(7, &std::io::Error::other("full"));
        losses.all_written();
        losses.close();
        assert!(lost_lines() >= before + 1007 && began.elapsed() < Duration::from_secs(1));
    }
}
