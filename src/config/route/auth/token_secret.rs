//! The secret by which the issuer of tokens signs them, and the proxy verifies.

use std::fmt;
use std::path::{Path, PathBuf};

use super::known_key::is_known_key;
use crate::config::value::{FileToRead, FileVersion, read_file};
use crate::config::yaml::{Invalid, Parsed};

/// In bytes: the least of any algorithm.
const SHORTEST: usize = 32;

#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub version: Option<FileVersion>,
}

/// Without the secret.
impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSecret").field("path", &self.path).finish_non_exhaustive()
    }
}

impl TokenSecret {
    /// # Errors
    /// When the file cannot be read or holds nothing that is secret.
    pub fn load(path: &Path) -> Parsed<Self> {
        let version = FileVersion::of(path);
        let read = read_file(path, &path.display().to_string())?;
        let bytes = read.trim_ascii().to_vec();
        if is_known_key(&read) {
            let help = "for public keys there are `jwks_file` and `jwks_url`";
            return Err(Invalid::with_help("this file holds a key: who knows it could sign tokens with it", help));
        }
        if bytes.len() < SHORTEST {
            let message = format!("a secret has at least {SHORTEST} bytes (RFC 7518); this file has {}", bytes.len());
            return Err(Invalid::with_help(message, "`openssl rand -base64 64` makes one"));
        }
        Ok(Self { path: path.to_owned(), bytes, version })
    }
}

pub const TOKEN_SECRET: FileToRead<TokenSecret> = FileToRead {
    what: "a file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: |path, _| TokenSecret::load(&path),
    path: |secret| &secret.path,
};
