//! Verifies tokens by the keys of their issuer, whichever are in force.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use tokio::sync::Notify;

use super::claims::{ClaimRules, Claims};
use super::reread::Reread;
use super::token::Token;
use super::token_fault::TokenFault;
use super::token_keys::TokenKeys;
use crate::config::{self, KeySet, KeySetFile, TokenAlgorithm, TokenSecret};

#[derive(Debug)]
pub struct Jwt {
    keys: ArcSwapOption<TokenKeys>,
    source: KeySource,
    allowed: Vec<TokenAlgorithm>,
    rules: ClaimRules,
    /// Notified when a token is not of the keys that are there.
    pub wanted: Notify,
}

#[derive(Debug)]
enum KeySource {
    Set(Reread),
    Secret(Reread),
    /// Fetched from this URL, by others.
    Url(String),
}

impl Jwt {
    /// `before`: what the route had before a reload, whose keys are kept where they are of the same
    /// URL.
    pub fn new(jwt: &config::Jwt, before: Option<&Self>) -> Self {
        let allowed = jwt.allowed();
        let (source, keys) = match (&jwt.jwks_file, &jwt.secret_file, &jwt.jwks_url) {
            (Some(file), _, _) => {
                let reread = Reread::new(file.path.clone(), file.version);
                (KeySource::Set(reread), Some(Arc::new(TokenKeys::of_set(&file.set, &allowed))))
            }
            (_, Some(secret), _) => {
                let reread = Reread::new(secret.path.clone(), secret.version);
                (KeySource::Secret(reread), Some(Arc::new(TokenKeys::of_secret(&secret.bytes, &allowed))))
            }
            (None, None, url) => {
                let url = url.as_ref().map(|url| url.written.clone()).unwrap_or_default();
                let same = before.filter(|before| matches!(&before.source, KeySource::Url(of) if *of == url));
                let same = same.filter(|before| before.allowed == allowed);
                (KeySource::Url(url), same.and_then(|before| before.keys.load_full()))
            }
        };
        let rules = ClaimRules {
            issuer: jwt.issuer.clone(),
            audience: jwt.audience.clone(),
            required: jwt.required.clone(),
            leeway: jwt.leeway,
        };
        Self { keys: ArcSwapOption::new(keys), source, allowed, rules, wanted: Notify::new() }
    }

    /// What a token says that lets its bearer pass: each claim as one text. Each signature is verified
    /// anew, which takes from 20 µs (RSA) to a millisecond (P-384): a memory of good tokens would have to
    /// end with the keys, the clock and a reload.
    ///
    /// # Errors
    /// Why it does not.
    pub fn verify(&self, token: &[u8], now: SystemTime) -> Result<Vec<(String, String)>, TokenFault> {
        let token = Token::parse(token)?;
        if !self.allowed.contains(&token.algorithm) {
            return Err(TokenFault::Algorithm);
        }
        let keys = self.keys.load();
        let Some(keys) = &*keys else { return Err(TokenFault::NoKeys) };
        keys.verify(&token).inspect_err(|fault| {
            // The issuer may have another key by now.
            if *fault != TokenFault::Signature || token.key_id.is_none() {
                self.wanted.notify_one();
            }
        })?;
        let claims = Claims::new(token.claims()?);
        claims.check(&self.rules, now)?;
        claims.into_texts()
    }

    /// Whether there are keys.
    pub fn has_keys(&self) -> bool {
        self.keys.load().is_some()
    }

    /// Keys as they were fetched.
    ///
    /// # Errors
    /// In words, when they are none.
    pub fn replace_keys(&self, fetched: &[u8]) -> Result<usize, String> {
        let set = KeySet::parse(fetched)?;
        self.keys.store(Some(Arc::new(TokenKeys::of_set(&set, &self.allowed))));
        Ok(set.keys.len())
    }

    /// Reads the file again if it has changed; `of` is the route, for the log.
    pub fn look_at_file(&self, of: &str) {
        let words = |why: config::Invalid| why.message.unwrap_or_default();
        let (reread, new) = match &self.source {
            KeySource::Url(_) => return,
            KeySource::Set(reread) => {
                let load = || {
                    let file = KeySetFile::load(&reread.path).map_err(words)?;
                    Ok((TokenKeys::of_set(&file.set, &self.allowed), file.version))
                };
                (reread, reread.look(of, "the keys", load))
            }
            KeySource::Secret(reread) => {
                let load = || {
                    let secret = TokenSecret::load(&reread.path).map_err(words)?;
                    Ok((TokenKeys::of_secret(&secret.bytes, &self.allowed), secret.version))
                };
                (reread, reread.look(of, "the secret", load))
            }
        };
        if let Some(keys) = new {
            log::info!("{of}: what {} holds now verifies tokens", reread.path.display());
            self.keys.store(Some(Arc::new(keys)));
        }
    }
}
