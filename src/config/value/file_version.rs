//! What is known of a file without its content.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// Which content a file has. Another content changes some of this, and so does a file that takes
/// the place of the old one by a rename or a symlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileVersion {
    modified: SystemTime,
    /// Seconds and nanoseconds. It also tells of a write that sets the time of the last one back.
    changed: (i64, i64),
    file: (u64, u64),
    length: u64,
    mode: u32,
}

impl FileVersion {
    /// `None` where there is no file that can be asked for.
    pub fn of(file: &Path) -> Option<Self> {
        std::fs::metadata(file).ok().and_then(|found| Self::from_metadata(&found))
    }

    pub fn from_metadata(found: &std::fs::Metadata) -> Option<Self> {
        Some(Self {
            modified: found.modified().ok()?,
            changed: (found.ctime(), found.ctime_nsec()),
            file: (found.dev(), found.ino()),
            length: found.len(),
            mode: found.mode(),
        })
    }

    /// When it was last written.
    pub fn modified(&self) -> SystemTime {
        self.modified
    }

    /// Whether anybody but its owner has a right to it.
    pub fn is_open_to_others(&self) -> bool {
        self.mode & 0o077 != 0
    }
}
