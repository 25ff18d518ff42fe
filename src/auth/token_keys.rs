//! The keys that verify tokens, each ready for the algorithms that are allowed. A token names an
//! algorithm; whether a key is for it was decided when the key was read.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
};

use super::token::Token;
use super::token_fault::TokenFault;
use crate::config::{KeyMaterial, KeySet, PublicKey, TokenAlgorithm};

/// A token that names no key is tried with so many of those that are for its algorithm, at most: a
/// signature on P-384 takes a millisecond of a thread that serves clients, and anybody may ask for it.
const MOST_TRIED: usize = 4;

#[derive(Debug)]
pub struct TokenKeys(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    id: Option<Box<str>>,
    algorithm: TokenAlgorithm,
    key: Key,
}

enum Key {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Public(_) => "Public",
            Self::Secret(_) => "Secret",
        })
    }
}

impl TokenKeys {
    /// The keys of a set, for these algorithms.
    pub fn of_set(set: &KeySet, allowed: &[TokenAlgorithm]) -> Self {
        let entries = set.keys.iter().flat_map(|key| {
            let of_key = |algorithm: &&TokenAlgorithm| {
                key.material.fits(**algorithm) && key.algorithm.is_none_or(|only| only == **algorithm)
            };
            allowed.iter().filter(of_key).filter_map(|algorithm| entry(key, *algorithm))
        });
        Self(entries.collect())
    }

    pub fn of_secret(secret: &[u8], allowed: &[TokenAlgorithm]) -> Self {
        let entry = |algorithm: &TokenAlgorithm| {
            let key = Key::Secret(Box::new(hmac::Key::new(by_secret(*algorithm)?, secret)));
            Some(Entry { id: None, algorithm: *algorithm, key })
        };
        Self(allowed.iter().filter_map(entry).collect())
    }

    /// # Errors
    /// When no key has signed it.
    pub fn verify(&self, token: &Token<'_>) -> Result<(), TokenFault> {
        let is_named = |entry: &&Entry| match (&entry.id, &token.key_id) {
            (Some(id), Some(named)) => **id == **named,
            // A key without a name is anybody's, and a token without one is of any key.
            (None, _) | (_, None) => true,
        };
        let fits = |entry: &&Entry| entry.algorithm == token.algorithm;
        let mut tried = self.0.iter().filter(fits).filter(is_named).take(MOST_TRIED).peekable();
        if tried.peek().is_none() {
            let is_unknown = !self.0.iter().any(|entry| is_named(&entry));
            return Err(if is_unknown { TokenFault::UnknownKey } else { TokenFault::Algorithm });
        }
        if tried.any(|entry| entry.key.has_signed(token)) { Ok(()) } else { Err(TokenFault::Signature) }
    }
}

impl Key {
    fn has_signed(&self, token: &Token<'_>) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(token.message, &token.signature).is_ok(),
            Self::Secret(key) => hmac::verify(key, token.message, &token.signature).is_ok(),
        }
    }
}

fn entry(key: &PublicKey, algorithm: TokenAlgorithm) -> Option<Entry> {
    let parsed = match &key.material {
        KeyMaterial::Rsa { n, e } => RsaPublicKeyComponents { n, e }.to_parsed_public_key(rsa(algorithm)?),
        KeyMaterial::P256(point) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
        KeyMaterial::P384(point) => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
        KeyMaterial::Ed25519(key) => ParsedPublicKey::new(&ED25519, key),
    };
    Some(Entry { id: key.id.clone(), algorithm, key: Key::Public(parsed.ok()?) })
}

fn rsa(algorithm: TokenAlgorithm) -> Option<&'static RsaParameters> {
    use TokenAlgorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    match algorithm {
        Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
        Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
        Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
        Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
        Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
        Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
        Es256 | Es384 | EdDsa | Hs256 | Hs384 | Hs512 => None,
    }
}

fn by_secret(algorithm: TokenAlgorithm) -> Option<hmac::Algorithm> {
    use TokenAlgorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    match algorithm {
        Hs256 => Some(hmac::HMAC_SHA256),
        Hs384 => Some(hmac::HMAC_SHA384),
        Hs512 => Some(hmac::HMAC_SHA512),
        Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512 | Es256 | Es384 | EdDsa => None,
    }
}
