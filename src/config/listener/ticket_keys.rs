//! `ticket_keys`: the keys by which clients resume their TLS sessions.

use std::fmt;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};

use crate::config::section::{Form, Reader, Shape, Syntax, Value, Word, WordsOr};
use crate::config::value::{FileVersion, read_file};
use crate::config::yaml::{Invalid, Node, Parsed, Yaml};

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
        Self::named(path, &path.display().to_string())
    }

    /// `written`: as the configuration names it.
    fn named(path: &Path, written: &str) -> Parsed<Self> {
        // Asked before the file is read, so that a change in between is noticed at the next look.
        let version = FileVersion::of(path);
        let keys = parse(read_file(path, written)?)?;
        Ok(Self { path: path.to_owned(), keys, version })
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
            form: KeyFile,
            wrap: Self::File,
            unwrap: |source| match source {
                Self::File(file) => Some(file.clone()),
                Self::Auto => None,
            },
        }
    }
}

/// A file of ticket keys, which is read with the configuration.
struct KeyFile;

impl Form<TicketKeyFile> for KeyFile {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<TicketKeyFile> {
        let path = node.text().map(|text| (text, reader.path(text)));
        // A misspelt word is no file.
        let Some((text, path)) = path.filter(|(_, path)| path.extension().is_some() || path.exists()) else {
            reader.expected(node, &["a file of ticket keys"]);
            return None;
        };
        let loaded = TicketKeyFile::named(&path, text);
        reader.accept(node.span, loaded)
    }

    fn shape(&self) -> Shape {
        Shape::Text(Syntax { kind: "file", numbers: true, pattern: None, examples: &[] })
    }

    fn print(&self, file: &TicketKeyFile) -> Yaml {
        Yaml::text(file.path.display())
    }
}

fn parse(bytes: Vec<u8>) -> Parsed<Vec<TicketKey>> {
    let help = "each line is one key of 32 bytes in base64 or hex: `openssl rand -base64 32` makes one";
    let text = String::from_utf8(bytes).map_err(|_| Invalid::with_help("this file holds no text", help))?;
    let mut keys = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let unknown = || Invalid::with_help(format!("line {} of this file is no key", index + 1), help);
        keys.push(TicketKey(key(line).ok_or_else(unknown)?));
    }
    match keys.len() {
        0 => Err(Invalid::with_help("there is no key in this file", help)),
        1..=MOST_KEYS => Ok(keys),
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
        let parsed = parse(text.as_bytes().to_vec());
        parsed.map(|keys| keys.iter().map(|key| key.0[0]).collect()).map_err(|e| e.message.unwrap())
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
