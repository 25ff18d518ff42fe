//! The configuration's file, looked at from time to time: nothing has to be told by the
//! system, so that mounts and symlinks that are swapped are seen as well.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often it is looked at, and how long it must have rested.
const EACH: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct FileWatch {
    looked: Instant,
    known: Option<SystemTime>,
}

impl FileWatch {
    /// A change is one since now.
    pub fn new(file: &Path) -> Self {
        Self { looked: Instant::now(), known: modified(file) }
    }

    /// Whether the file has changed and is not being written any more.
    pub fn has_changed(&mut self, file: &Path) -> bool {
        if self.looked.elapsed() < EACH {
            return false;
        }
        self.looked = Instant::now();
        let now = modified(file);
        let rested = now.and_then(|at| at.elapsed().ok()).is_none_or(|age| age >= EACH / 2);
        now.is_some() && now != self.known && rested
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|found| found.modified()).ok()
}
