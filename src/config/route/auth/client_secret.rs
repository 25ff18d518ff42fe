//! The secret by which a provider knows the proxy.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::value::{FileToRead, FileVersion, read_file};
use crate::config::yaml::{Invalid, Parsed};

/// In bytes.
const LONGEST: usize = 1024;

#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret {
    pub path: PathBuf,
    pub text: String,
    pub version: Option<FileVersion>,
}

/// Without the secret.
impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSecret").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ClientSecret {
    /// # Errors
    /// When the file cannot be read or holds no such secret.
    pub fn load(path: &Path) -> Parsed<Self> {
        let version = FileVersion::of(path);
        let read = read_file(path, &path.display().to_string())?;
        let text = String::from_utf8(read.trim_ascii().to_vec()).unwrap_or_default();
        // RFC 6749 appendix A.2.
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let message = format!("a client's secret is one line of 1 to {LONGEST} characters of ASCII");
            return Err(Invalid::with_help(message, "it is the one that the provider shows for the client"));
        }
        Ok(Self { path: path.to_owned(), text, version })
    }
}

pub const CLIENT_SECRET: FileToRead<ClientSecret> = FileToRead {
    what: "a file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: |path, _| ClientSecret::load(&path),
    path: |secret| &secret.path,
};
