//! The secrets that seal the cookies of logins.

use std::fmt;

use super::known_key::is_known_key;
use crate::config::value::FileContent;
use crate::config::yaml::{Invalid, Parsed};

/// Of a secret, in bytes.
const SHORTEST: usize = 32;
/// Each is tried with a cookie that none has sealed.
const MOST: usize = 8;
/// Bytes of a secret that differ, at least. One that was made at random has more.
const LEAST_DIFFERENT: usize = 8;

#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecrets(pub Vec<Vec<u8>>);

/// Without the secrets.
impl fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecrets")
    }
}

impl FileContent for CookieSecrets {
    fn of_file(bytes: &[u8]) -> Parsed<Self> {
        parse(bytes).map(Self)
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
