//! The secret by which the issuer of tokens signs them, and the proxy verifies.

use std::fmt;

use super::known_key::is_known_key;
use crate::config::value::FileContent;
use crate::config::yaml::{Invalid, Parsed};

/// In bytes: the least of any algorithm.
const SHORTEST: usize = 32;

#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(pub Vec<u8>);

/// Without the secret.
impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret")
    }
}

impl FileContent for TokenSecret {
    fn of_file(read: &[u8]) -> Parsed<Self> {
        let bytes = read.trim_ascii().to_vec();
        if is_known_key(read) {
            let help = "for public keys there are `jwks_file` and `jwks_url`";
            return Err(Invalid::with_help("this file holds a key: who knows it could sign tokens with it", help));
        }
        if bytes.len() < SHORTEST {
            let message = format!("a secret has at least {SHORTEST} bytes (RFC 7518); this file has {}", bytes.len());
            return Err(Invalid::with_help(message, "`openssl rand -base64 64` makes one"));
        }
        Ok(Self(bytes))
    }
}
