//! The secrets that seal the cookies of logins.

use std::fmt;
use std::path::{Path, PathBuf};

use super::known_key::is_known_key;
use crate::config::value::{FileToRead, FileVersion, read_file};
use crate::config::yaml::{Invalid, Parsed};

/// Of a secret, in bytes.
const SHORTEST: usize = 32;
/// Each is tried with a cookie that none has sealed.
const MOST: usize = 8;
/// Bytes of a secret that differ, at least. One that was made at random has more.
const LEAST_DIFFERENT: usize = 8;

#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecrets {
    pub path: PathBuf,
    /// The first of them seals, all of them open.
    pub secrets: Vec<Vec<u8>>,
    pub version: Option<FileVersion>,
}

/// Without the secrets.
impl fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieSecrets").field("path", &self.path).finish_non_exhaustive()
    }
}

impl CookieSecrets {
    /// # Errors
    /// When the file cannot be read or holds nothing that is secret.
    pub fn load(path: &Path) -> Parsed<Self> {
        let version = FileVersion::of(path);
        let read = read_file(path, &path.display().to_string())?;
        Ok(Self { path: path.to_owned(), secrets: parse(&read)?, version })
    }
}

fn parse(read: &[u8]) -> Parsed<Vec<Vec<u8>>> {
    let help = "`openssl rand -base64 48` makes one";
    if is_known_key(read) {
        return Err(Invalid::with_help("this file holds a key: who knows it could log in as anybody", help));
    }
    let lines: Vec<&[u8]> = read.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    let secrets: Vec<&[u8]> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    for (index, secret) in secrets.iter().enumerate() {
        let mut different = secret.to_vec();
        different.sort_unstable();
        different.dedup();
        if secret.len() < SHORTEST {
            let message =
                format!("a secret has at least {SHORTEST} bytes; the one of line {} has {}", index + 1, secret.len());
            return Err(Invalid::with_help(message, help));
        }
        if different.len() < LEAST_DIFFERENT {
            let message = format!("the secret of line {} can be guessed: it has few different characters", index + 1);
            return Err(Invalid::with_help(message, help));
        }
    }
    match secrets.len() {
        0 => Err(Invalid::with_help("this file holds no secret", help)),
        1..=MOST => Ok(secrets.into_iter().map(<[u8]>::to_vec).collect()),
        count => Err(Invalid::new(format!("this file holds {count} secrets; {MOST} are enough"))),
    }
}

pub const COOKIE_SECRETS: FileToRead<CookieSecrets> = FileToRead {
    what: "a file's path",
    pattern: None,
    accepts: |_| Ok(()),
    parse: |path, _| CookieSecrets::load(&path),
    path: |secrets| &secrets.path,
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_a_secret_that_nobody_guesses() {
        let (one, two) = ("0123456789abcdefghijklmnopqrstuv", "vutsrqponmlkjihgfedcba9876543210");
        let read = |text: &str| parse(text.as_bytes()).map_err(|why| why.message.unwrap_or_default());
        assert_eq!(read(&format!("{one}\n\n {two} \r\n")), Ok(vec![one.into(), two.into()]));
        for (text, why) in [
            (String::new(), "no secret"),
            ("\n \n".to_owned(), "no secret"),
            (format!("{one}\nshort"), "the one of line 2 has 5"),
            ("a".repeat(64), "can be guessed"),
            (format!("{one}\n").repeat(9), "9 secrets"),
            ("-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A".to_owned(), "holds a key"),
        ] {
            assert!(read(&text).is_err_and(|message| message.contains(why)), "{text}: {why}");
        }
    }
}
