//! The compact form of a token (RFC 7515 section 3.1), before anything in it is believed.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::token_fault::TokenFault;
use crate::config::TokenAlgorithm;

/// In bytes.
const LONGEST: usize = 16 * 1024;

/// A token whose signature is to be verified.
#[derive(Debug)]
pub struct Token<'t> {
    pub algorithm: TokenAlgorithm,
    pub key_id: Option<String>,
    /// What is signed.
    pub message: &'t [u8],
    payload: &'t [u8],
    pub signature: Vec<u8>,
}

/// Keys that the token itself brings or names (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'t> Token<'t> {
    /// # Errors
    /// When it is none, or of a kind that is not verified.
    pub fn parse(text: &'t [u8]) -> Result<Self, TokenFault> {
        if text.len() > LONGEST {
            return Err(TokenFault::TooLong);
        }
        let mut dots = memchr::memchr_iter(b'.', text);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(TokenFault::Malformed);
        };
        let part = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
        let header: Header = serde_json::from_slice(&decoded(part(0..first))?).map_err(|_| TokenFault::Malformed)?;
        if header.crit.is_some() {
            return Err(TokenFault::Critical);
        }
        Ok(Self {
            algorithm: TokenAlgorithm::named(&header.alg).ok_or(TokenFault::Algorithm)?,
            key_id: header.kid,
            message: part(0..second),
            payload: part(first + 1..second),
            signature: decoded(part(second + 1..text.len()))?,
        })
    }

    /// What the token says, for who has verified its signature.
    ///
    /// # Errors
    /// When it is no object of JSON.
    pub fn claims(&self) -> Result<serde_json::Map<String, serde_json::Value>, TokenFault> {
        serde_json::from_slice(&decoded(self.payload)?).map_err(|_| TokenFault::Claims)
    }
}

/// Base64url without padding, in the one form that bytes have.
fn decoded(part: &[u8]) -> Result<Vec<u8>, TokenFault> {
    BASE64URL_NOPAD.decode(part).map_err(|_| TokenFault::Malformed)
}
