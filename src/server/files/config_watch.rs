//! [`ConfigWatch`] looks at the configuration's file at intervals. Unlike the system's
//! notifications, it also sees mounts and symlinks that are swapped.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::FileVersion;

/// The time between two looks. A file that was written within the last half of it may still
/// be incomplete.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct ConfigWatch {
    looked: Instant,
    known: Option<FileVersion>,
}

impl ConfigWatch {
    /// What changes from now on is a change.
    pub fn new(file: &Path) -> Self {
        Self { looked: Instant::now(), known: FileVersion::of(file) }
    }

    /// Whether the file has changed and is not being written.
    pub fn has_changed(&mut self, file: &Path) -> bool {
        if self.looked.elapsed() < INTERVAL {
            return false;
        }
        self.looked = Instant::now();
        let now = FileVersion::of(file);
        let rested = now.and_then(|now| now.modified().elapsed().ok()).is_none_or(|age| age >= INTERVAL / 2);
        now.is_some() && now != self.known && rested
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn another_content_with_the_same_time_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("watched.yaml");
        let old = SystemTime::now() - Duration::from_secs(60);
        let write = |text: &str| {
            std::fs::write(&file, text).unwrap();
            std::fs::File::options().write(true).open(&file).unwrap().set_modified(old).unwrap();
        };
        write("one");
        let mut watch = ConfigWatch::new(&file);
        let look = |watch: &mut ConfigWatch| {
            watch.looked = Instant::now().checked_sub(INTERVAL).unwrap();
            watch.has_changed(&file)
        };
        assert!(!look(&mut watch));
        write("three");
        assert!(look(&mut watch));
        std::fs::remove_file(&file).unwrap();
        assert!(!look(&mut watch));
    }
}
