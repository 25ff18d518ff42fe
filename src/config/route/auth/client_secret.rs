//! The secret by which a provider knows the proxy.

use std::fmt;

use crate::config::value::FileContent;
use crate::config::yaml::{Invalid, Parsed};

/// In bytes.
const LONGEST: usize = 1024;

#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret(pub String);

/// Without the secret.
impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

impl FileContent for ClientSecret {
    fn of_file(bytes: &[u8]) -> Parsed<Self> {
        let text = String::from_utf8(bytes.trim_ascii().to_vec()).unwrap_or_default();
        // RFC 6749 appendix A.2.
        if text.is_empty() || text.len() > LONGEST || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let message = format!("a client's secret is one line of 1 to {LONGEST} characters of ASCII");
            return Err(Invalid::with_help(message, "it is the one that the provider shows for the client"));
        }
        Ok(Self(text))
    }
}
