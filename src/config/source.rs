//! Where a configuration comes from: a file, or a text that came over standard input.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::yaml::MAX_BYTES;

/// The name of standard input, as an argument and between processes.
pub const INPUT: &str = "-";

#[derive(Clone, Debug)]
pub enum Source {
    /// A reload reads it again.
    File(PathBuf),
    /// What was read from standard input, which cannot be read again.
    Input(Arc<str>),
}

impl Source {
    /// What `-c` says of it: the file, or `-`.
    pub fn name(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Input(_) => Path::new(INPUT),
        }
    }

    /// The name as problems show it.
    pub fn title(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Input(_) => "(standard input)".to_owned(),
        }
    }

    /// # Errors
    /// In words, when a file cannot be read.
    pub(super) fn text(&self) -> Result<Cow<'_, str>, String> {
        match self {
            Self::File(path) => read(path).map(Cow::Owned).map_err(|reason| format!("cannot read the file: {reason}")),
            Self::Input(text) => Ok(Cow::Borrowed(text)),
        }
    }
}

/// The text of a configuration's bytes.
///
/// # Errors
/// In words, when it cannot be one.
pub fn text_of(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map_err(|e| format!("it is not UTF-8 at byte {}", e.utf8_error().valid_up_to()))
}

pub(super) fn read(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) {
        return Err(too_large());
    }
    text_of(std::fs::read(path).map_err(|e| e.to_string())?)
}

fn too_large() -> String {
    format!("it is larger than {} MiB", MAX_BYTES / 1024 / 1024)
}
