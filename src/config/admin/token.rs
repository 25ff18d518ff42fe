//! `admin.token_file`: what callers show.

use std::path::{Path, PathBuf};

use crate::config::value::FileToRead;
use crate::config::yaml::{Invalid, Parsed};

/// A file that held a token when it was read.
#[derive(Clone)]
pub struct AdminToken {
    pub path: PathBuf,
    text: String,
}

/// What is in the file is looked at again while the process runs: it is no other configuration.
impl PartialEq for AdminToken {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for AdminToken {}

/// Without the token.
impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminToken").field("path", &self.path).finish_non_exhaustive()
    }
}

pub const TOKEN: FileToRead<AdminToken> = FileToRead {
    what: "a file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: AdminToken::parse,
    path: |token| &token.path,
};

impl AdminToken {
    /// Reads the file again.
    ///
    /// # Errors
    /// Why it cannot be used, in words.
    pub fn load(path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        Self::parse(path.to_owned(), bytes)
            .map_err(|why| format!("{}: {}", path.display(), why.message.unwrap_or_default()))
    }

    fn parse(path: PathBuf, bytes: Vec<u8>) -> Parsed<Self> {
        const LEAST: usize = 16;
        let text = String::from_utf8(bytes.trim_ascii().to_vec()).unwrap_or_default();
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::new("a token is one word of visible ASCII"));
        }
        if text.len() < LEAST {
            let message = format!("a token has at least {LEAST} characters; this file has {}", text.len());
            return Err(Invalid::with_help(message, "make one with `openssl rand -hex 24`"));
        }
        Ok(Self { path, text })
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_long_word() {
        let read = |text: &str| AdminToken::parse(PathBuf::from("/token"), text.as_bytes().to_vec());
        assert_eq!(read(" 0123456789abcdef\n").unwrap().text(), "0123456789abcdef");
        for (text, why) in [
            ("", "at least 16 characters; this file has 0"),
            ("0123456789abcde\n", "at least 16 characters; this file has 15"),
            ("0123456789 abcdefgh", "one word"),
            ("0123456789abcdef\n0123456789abcdef", "one word"),
            ("0123456789abcdef\u{e9}", "one word"),
        ] {
            let message = read(text).unwrap_err().message.unwrap();
            assert!(message.contains(why), "{text}: {message}");
        }
        let debugged = format!("{:?}", read("0123456789abcdef").unwrap());
        assert!(debugged.contains("/token") && !debugged.contains("0123"), "{debugged}");
    }
}
