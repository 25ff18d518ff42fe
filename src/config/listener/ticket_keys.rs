//! `ticket_keys`: the keys by which clients resume their TLS sessions.

use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use crate::config::section::{Form, Value, Word, WordsOr};
use crate::config::value::{FileToRead, FileVersion, read_file};
use crate::config::yaml::{Invalid, Parsed};

/// The length of a key, in bytes.
const LENGTH: usize = 32;
const MOST_KEYS: usize = 16;

/// A secret from which the keys of tickets are derived.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey(pub [u8; LENGTH]);

/// Without the secret.
impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TicketKeySource {
    /// Made and replaced by the process.
    Auto,
    File(TicketKeyFile),
}

/// A file of keys that several processes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketKeyFile {
    pub path: PathBuf,
    /// At least one; the first one encrypts, and all of them decrypt.
    pub keys: Vec<TicketKey>,
    pub version: Option<FileVersion>,
}

impl TicketKeyFile {
    /// # Errors
    /// When the file cannot be read or holds no keys.
    pub fn load(path: &Path) -> Parsed<Self> {
        let bytes = read_file(path, &path.display().to_string())?;
        parse(path.to_owned(), bytes)
    }
}

impl Value for TicketKeySource {
    fn form() -> impl Form<Self> {
        WordsOr {
            words: [(
                Self::Auto,
                Word {
                    word: "auto",
                    doc: "The process makes the keys and replaces them every 12 hours; they outlive reloads and upgrades, and restarts where the process's own folder does.",
                },
            )],
            form: FILE,
            wrap: Self::File,
            unwrap: |source| match source {
                Self::File(file) => Some(file.clone()),
                Self::Auto => None,
            },
        }
    }
}

const FILE: FileToRead<TicketKeyFile> = FileToRead {
    what: "a file of ticket keys",
    pattern: None,
    // A misspelt word is no file.
    accepts: |path| match path.extension().is_some() || path.exists() {
        true => Ok(()),
        false => Err(Invalid::unexpected(None)),
    },
    parse,
    path: |file| &file.path,
};

fn parse(path: PathBuf, bytes: Vec<u8>) -> Parsed<TicketKeyFile> {
    // It was taken before the file was read by `load`'s caller at the earliest, so that a change
    // in between is noticed later.
    let version = FileVersion::of(&path);
    let help = "each line is one key of 32 bytes in base64 or hex: `openssl rand -base64 32` makes one";
    let text = String::from_utf8(bytes).map_err(|_| Invalid::with_help("this file holds no text", help))?;
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key =
            key(line).ok_or_else(|| Invalid::with_help(format!("line {} of this file is no key", index + 1), help))?;
        keys.push(TicketKey(key));
    }
    match keys.len() {
        0 => Err(Invalid::with_help("there is no key in this file", help)),
        1..=MOST_KEYS => Ok(TicketKeyFile { path, keys, version }),
        _ => Err(Invalid::with_help(
            format!("there are more than {MOST_KEYS} keys in this file"),
            "remove the oldest ones, which stand last",
        )),
    }
}

fn key(line: &str) -> Option<[u8; LENGTH]> {
    let hex = HEXLOWER_PERMISSIVE.decode(line.as_bytes()).ok().and_then(|key| key.try_into().ok());
    hex.or_else(|| BASE64.decode(line.as_bytes()).ok().and_then(|key| key.try_into().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Result<Vec<u8>, String> {
        let parsed = parse(PathBuf::from("/nowhere"), text.as_bytes().to_vec());
        parsed.map(|file| file.keys.iter().map(|key| key.0[0]).collect()).map_err(|e| e.message.unwrap())
    }

    #[test]
    fn keys_are_base64_or_hex_and_nothing_else() {
        let (one, two) = (BASE64.encode(&[1; 32]), HEXLOWER_PERMISSIVE.encode(&[2; 32]).to_uppercase());
        assert_eq!(keys(&format!("# now\n{one}\n\n  {two}\r\n")), Ok(vec![1, 2]));
        assert_eq!(keys(&format!("{one}\nx\n")), Err("line 2 of this file is no key".to_owned()));
        assert_eq!(keys(&BASE64.encode(&[1; 16])), Err("line 1 of this file is no key".to_owned()));
        assert_eq!(keys("# none\n"), Err("there is no key in this file".to_owned()));
        assert!(keys(&format!("{one}\n").repeat(17)).unwrap_err().contains("more than 16"));
    }
}
