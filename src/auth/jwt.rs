//! Verifies tokens by the keys of their issuer, whichever are in force.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use tokio::sync::Notify;

use super::claims::{ClaimRules, Claims};
use super::reread::Reread;
use super::token::Token;
use super::token_fault::TokenFault;
use super::token_keys::TokenKeys;
use super::verified::{Told, Verified, VerifiedBy};
use crate::config::{self, KeySet, TokenAlgorithm, TokenSecret};

#[derive(Debug)]
pub struct Jwt {
    in_force: ArcSwapOption<InForce>,
    source: KeySource,
    allowed: Vec<TokenAlgorithm>,
    rules: ClaimRules,
    /// Notified when a token is not of the keys that are there.
    pub wanted: Notify,
}

/// The keys of one content of their source, and what they have verified for this route.
#[derive(Debug)]
struct InForce {
    keys: Arc<TokenKeys>,
    by: VerifiedBy,
    /// The hash of what was fetched.
    fetched: Option<Vec<u8>>,
}

impl InForce {
    fn new(keys: Arc<TokenKeys>, fetched: Option<Vec<u8>>) -> Arc<Self> {
        Arc::new(Self { keys, by: VerifiedBy::new(), fetched })
    }
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
        let read = |keys| Some(InForce::new(Arc::new(keys), None));
        let (source, in_force) = match (&jwt.jwks_file, &jwt.secret_file, &jwt.jwks_url) {
            (Some(file), _, _) => (KeySource::Set(Reread::new(file)), read(TokenKeys::of_set(&file.content, &allowed))),
            (_, Some(secret), _) => {
                (KeySource::Secret(Reread::new(secret)), read(TokenKeys::of_secret(&secret.content.0, &allowed)))
            }
            (None, None, url) => {
                let url = url.as_ref().map(|url| url.written.clone()).unwrap_or_default();
                let same = before.filter(|before| matches!(&before.source, KeySource::Url(of) if *of == url));
                let same = same.filter(|before| before.allowed == allowed);
                let kept = same.and_then(|before| before.in_force.load_full());
                (KeySource::Url(url), kept.map(|kept| InForce::new(Arc::clone(&kept.keys), kept.fetched.clone())))
            }
        };
        let rules = ClaimRules {
            issuer: jwt.issuer.clone(),
            audience: jwt.audience.clone(),
            required: jwt.required.clone(),
            leeway: jwt.leeway,
        };
        Self { in_force: ArcSwapOption::new(in_force), source, allowed, rules, wanted: Notify::new() }
    }

    /// What a token says that lets its bearer pass. A signature that was verified lately by the same
    /// keys is not verified again; the clock is asked each time.
    ///
    /// # Errors
    /// Why it does not.
    pub fn verify(&self, token: &[u8], now: SystemTime) -> Result<Arc<Told>, TokenFault> {
        let in_force = self.in_force.load();
        let verified = Verified::of_process();
        let remembered = in_force.as_ref().zip(verified).and_then(|(of, all)| Some((all, all.tag(token, of.by)?)));
        if let Some((verified, tag)) = remembered
            && let Some(told) = verified.find(tag)
        {
            told.lifetime.check(self.rules.leeway, now).inspect_err(|_| verified.forget(tag))?;
            return Ok(told);
        }
        let told = Arc::new(self.verify_anew(token, in_force.as_ref().map(|of| &*of.keys), now)?);
        if let Some((verified, tag)) = remembered {
            verified.note(tag, &told);
        }
        Ok(told)
    }

    /// A signature takes from 20 µs (RSA) to a millisecond (P-384).
    fn verify_anew(&self, token: &[u8], keys: Option<&TokenKeys>, now: SystemTime) -> Result<Told, TokenFault> {
        let token = Token::parse(token)?;
        if !self.allowed.contains(&token.algorithm) {
            return Err(TokenFault::Algorithm);
        }
        let keys = keys.ok_or(TokenFault::NoKeys).inspect_err(|_| self.wanted.notify_one())?;
        keys.verify(&token).inspect_err(|fault| {
            // The issuer may have another key by now.
            if *fault != TokenFault::Signature || token.key_id.is_none() {
                self.wanted.notify_one();
            }
        })?;
        let claims = Claims::new(token.claims()?);
        claims.check(&self.rules, now)?;
        let lifetime = claims.lifetime()?;
        Ok(Told { texts: claims.into_texts()?, lifetime })
    }

    /// Whether there are keys.
    pub fn has_keys(&self) -> bool {
        self.in_force.load().is_some()
    }

    /// Keys as they were fetched.
    ///
    /// # Errors
    /// In words, when they are none.
    pub fn replace_keys(&self, fetched: &[u8]) -> Result<usize, String> {
        let set = KeySet::parse(fetched)?;
        let hash = Some(digest::digest(&digest::SHA256, fetched).as_ref().to_vec());
        // The same keys go on with what they have verified: anybody can have them fetched again.
        if self.in_force.load().as_ref().is_none_or(|before| before.fetched != hash) {
            let keys = Arc::new(TokenKeys::of_set(&set, &self.allowed));
            self.in_force.store(Some(InForce::new(keys, hash)));
        }
        Ok(set.keys.len())
    }

    /// Reads the file again if it has changed; `of` is the route, for the log.
    pub fn look_at_file(&self, of: &str) {
        let (reread, new) = match &self.source {
            KeySource::Url(_) => return,
            KeySource::Set(reread) => {
                let make = |set: KeySet| Ok(TokenKeys::of_set(&set, &self.allowed));
                (reread, reread.look(of, "the keys", make))
            }
            KeySource::Secret(reread) => {
                let make = |secret: TokenSecret| Ok(TokenKeys::of_secret(&secret.0, &self.allowed));
                (reread, reread.look(of, "the secret", make))
            }
        };
        if let Some(keys) = new {
            log::info!("{of}: what {} holds now verifies tokens", reread.path.display());
            self.in_force.store(Some(InForce::new(Arc::new(keys), None)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use data_encoding::BASE64URL_NOPAD;

    use super::*;

    const EXPIRY: u64 = 1_000_000;

    fn jwt(more: &str, before: Option<&Jwt>) -> Jwt {
        let auth = format!("auth: {{ jwt: {{ jwks_url: 'http://127.0.0.1:1/', audience: a, leeway: 0s{more} }} }}");
        let file = format!("listeners: [':80']\nroutes: [{{ {auth}, respond: {{}} }}]\n");
        let (config, _) = config::parse("jwt.yaml", &file, &|_| None).unwrap();
        Jwt::new(config.routes[0].auth.as_ref().unwrap().jwt.as_ref().unwrap(), before)
    }

    fn set(keys: &[&Ed25519KeyPair]) -> Vec<u8> {
        let key = |key: &&Ed25519KeyPair| {
            let x = BASE64URL_NOPAD.encode(key.public_key().as_ref());
            serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
        };
        let keys: Vec<_> = keys.iter().map(key).collect();
        serde_json::json!({ "keys": keys }).to_string().into_bytes()
    }

    fn token(key: &Ed25519KeyPair, subject: usize) -> Vec<u8> {
        let claims = format!("{{\"aud\":\"a\",\"sub\":\"{subject}\",\"nbf\":{},\"exp\":{EXPIRY}}}", EXPIRY - 100);
        let parts = ["{\"alg\":\"EdDSA\"}", &claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
        let message = parts.join(".");
        let signature = BASE64URL_NOPAD.encode(key.sign(message.as_bytes()).as_ref());
        format!("{message}.{signature}").into_bytes()
    }

    fn before_expiry(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(EXPIRY - seconds)
    }

    /// Whether a signature is not verified once more for it.
    fn is_remembered(jwt: &Jwt, token: &[u8]) -> bool {
        let verified = Verified::of_process().unwrap();
        let by = jwt.in_force.load().as_ref().unwrap().by;
        verified.find(verified.tag(token, by).unwrap()).is_some()
    }

    #[test]
    fn a_remembered_token_says_the_same_until_it_expires() {
        let (key, jwt) = (Ed25519KeyPair::generate().unwrap(), jwt("", None));
        jwt.replace_keys(&set(&[&key])).unwrap();
        let token = token(&key, 1);
        let first = jwt.verify(&token, before_expiry(50)).unwrap();
        assert!(is_remembered(&jwt, &token));
        let again = jwt.verify(&token, before_expiry(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!((again.text("sub"), again.text("aud"), again.text("exp")), (Some("1"), Some("a"), Some("1000000")));
        assert_eq!(jwt.verify(&token, before_expiry(0)).unwrap_err(), TokenFault::Expired);
        assert!(!is_remembered(&jwt, &token), "it makes room");
        assert_eq!(jwt.verify(&token, before_expiry(0)).unwrap_err(), TokenFault::Expired);
        // The clock was put back behind `nbf`.
        jwt.verify(&token, before_expiry(50)).unwrap();
        assert_eq!(jwt.verify(&token, before_expiry(101)).unwrap_err(), TokenFault::NotYetValid);
    }

    #[test]
    fn other_keys_and_other_rules_remember_nothing() {
        let (one, two) = (Ed25519KeyPair::generate().unwrap(), Ed25519KeyPair::generate().unwrap());
        let before = jwt("", None);
        before.replace_keys(&set(&[&one, &two])).unwrap();
        let (of_one, of_two) = (token(&one, 1), token(&two, 2));
        let now = before_expiry(50);
        assert!(before.verify(&of_one, now).is_ok() && before.verify(&of_two, now).is_ok());
        // After a reload with the same keys: what the rule asks is asked anew.
        for (more, expected) in [
            ("", None),
            (", issuer: us", Some(TokenFault::Issuer)),
            (", required: [exp, mail]", Some(TokenFault::Required)),
            (", algorithms: [RS256]", Some(TokenFault::Algorithm)),
        ] {
            let after = jwt(more, Some(&before));
            assert!(after.in_force.load().is_none() || !is_remembered(&after, &of_one), "{more}");
            assert_eq!(after.verify(&of_one, now).err(), expected, "{more}");
        }
        // The same set is fetched after a reload.
        let after = jwt("", Some(&before));
        after.verify(&of_one, now).unwrap();
        after.replace_keys(&set(&[&one, &two])).unwrap();
        assert!(is_remembered(&after, &of_one));
        let other = jwt("", None);
        other.replace_keys(&set(&[&one])).unwrap();
        assert!(!is_remembered(&other, &of_one));
        // The same set is fetched once more.
        before.replace_keys(&set(&[&one, &two])).unwrap();
        assert!(is_remembered(&before, &of_one));
        // A key leaves the set.
        before.replace_keys(&set(&[&two])).unwrap();
        assert!(!is_remembered(&before, &of_one));
        assert_eq!(before.verify(&of_one, now).unwrap_err(), TokenFault::Signature);
        assert!(before.verify(&of_two, now).is_ok());
    }

    #[test]
    fn one_bit_more_or_less_is_another_token_and_is_not_remembered() {
        let (key, jwt) = (Ed25519KeyPair::generate().unwrap(), jwt("", None));
        jwt.replace_keys(&set(&[&key])).unwrap();
        let token = token(&key, 1);
        assert!(jwt.verify(&token, before_expiry(50)).is_ok());
        for bit in 0..token.len() * 8 {
            let mut other = token.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(jwt.verify(&other, before_expiry(50)).is_err(), "{bit}");
            assert!(!is_remembered(&jwt, &other), "{bit}");
        }
        assert!(jwt.verify(&token, before_expiry(50)).is_ok());
    }
}
