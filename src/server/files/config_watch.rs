//! [`ConfigWatch`] looks at the configuration's file at intervals. Unlike the system's
//! notifications, it also sees mounts and symlinks that are swapped.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// The time between two looks. A file that was written within the last half of it may still
/// be incomplete.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct ConfigWatch {
    looked: Instant,
    known: Option<FileVersion>,
}

/// What is known of a file without its content. A new content changes some of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileVersion {
    modified: SystemTime,
    file: (u64, u64),
    length: u64,
}

impl ConfigWatch {
    /// What changes from now on is a change.
    pub fn new(file: &Path) -> Self {
        Self { looked: Instant::now(), known: stamp(file) }
    }

    /// Whether the file has changed and is not being written.
    pub fn has_changed(&mut self, file: &Path) -> bool {
        if self.looked.elapsed() < INTERVAL {
            return false;
        }
        self.looked = Instant::now();
        let now = stamp(file);
        let rested = now.and_then(|now| now.modified.elapsed().ok()).is_none_or(|age| age >= INTERVAL / 2);
        now.is_some() && now != self.known && rested
    }
}

fn stamp(file: &Path) -> Option<FileVersion> {
    let found = std::fs::metadata(file).ok()?;
    let file = (found.dev(), found.ino());
    Some(FileVersion { modified: found.modified().ok()?, file, length: found.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_content_with_the_same_time_is_a_change() {
        let file = std::env::temp_dir().join(format!("pingora-proxy-watch-{}", std::process::id()));
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
