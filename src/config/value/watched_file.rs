//! Files that are read with the configuration, and again when they change.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{FileToRead, read_file};
use super::file_version::FileVersion;
use crate::config::yaml::Parsed;

/// What such a file holds.
pub trait FileContent: Sized {
    /// # Errors
    /// When these bytes are none.
    fn of_file(bytes: &[u8]) -> Parsed<Self>;
}

/// A file as it was when it was last read.
#[derive(Clone, PartialEq, Eq)]
pub struct WatchedFile<T> {
    pub path: PathBuf,
    pub content: T,
    pub version: Option<FileVersion>,
}

/// Without the content, which may be secret.
impl<T> fmt::Debug for WatchedFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<T: FileContent> WatchedFile<T> {
    /// How a key of the configuration names one.
    pub const FORM: FileToRead<Self> = FileToRead {
        what: "a file's path",
        pattern: None,
        accepts: |_| Ok(()),
        parse: |path, _| Self::load(&path),
        path: |file| &file.path,
    };

    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn load(path: &Path) -> Parsed<Self> {
        // Asked before the file is read, so that a change in between is noticed at the next look.
        let version = FileVersion::of(path);
        let content = T::of_file(&read_file(path, &path.display().to_string())?)?;
        Ok(Self { path: path.to_owned(), content, version })
    }
}
