//! A file that is read again when it changes. What cannot be used leaves the old in force, and is
//! told of once: at the second look, because a file may be half written at the first.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::{FileContent, FileVersion, WatchedFile};

#[derive(Debug)]
pub struct Reread {
    pub path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Which content is in force.
    version: Option<FileVersion>,
    /// Which content was refused, and whether the operator knows.
    refused: Option<(Option<FileVersion>, bool)>,
}

impl Reread {
    pub fn new<T>(file: &WatchedFile<T>) -> Self {
        Self { path: file.path.clone(), state: Mutex::new(State { version: file.version, refused: None }) }
    }

    /// Reads the file if it has changed, and gives what `make` makes of the new content; the error is
    /// told with `of`, which names the place, and `what` stays in force.
    pub fn look<T: FileContent, U>(
        &self,
        of: &str,
        what: &str,
        make: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let found = FileVersion::of(&self.path);
        if found == state.version {
            state.refused = None;
            return None;
        }
        let seen = state.refused.filter(|(version, _)| *version == found);
        if seen.is_some_and(|(_, told)| told) {
            return None;
        }
        let read = WatchedFile::load(&self.path).map_err(|why| why.message.unwrap_or_default());
        match read.and_then(|file| Ok((make(file.content)?, file.version))) {
            Ok((new, version)) => {
                (state.version, state.refused) = (version, None);
                Some(new)
            }
            Err(why) => {
                if seen.is_some() {
                    log::error!("{of}: {}: {why}; {what} of before stay in force", self.path.display());
                }
                state.refused = Some((found, seen.is_some()));
                None
            }
        }
    }

    /// Whether this content is in force.
    pub fn is_of(&self, version: Option<FileVersion>) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).version == version
    }

    /// Another content was read elsewhere and is in force.
    pub fn replaced(&self, version: Option<FileVersion>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { version, refused: None };
    }
}
