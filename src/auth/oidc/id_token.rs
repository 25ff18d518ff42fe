//! The provider's answer to a code, and what its ID token has to be (OpenID Connect Core section 3.1.3.7).

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::fault::OidcFault;
use super::seal::same;
use super::session::{Kept, KeptClaim};
use crate::auth::claims::{ClaimRules, Claims};
use crate::auth::token::Token;
use crate::auth::token_fault::TokenFault;
use crate::auth::token_keys::TokenKeys;
use crate::config::TokenAlgorithm;

/// How far the provider's clock may be from this one.
const LEEWAY: Duration = Duration::from_secs(60);
/// OpenID Connect Core section 2: a subject is no longer.
const LONGEST_SUBJECT: usize = 255;

/// What the token endpoint answers (OpenID Connect Core section 3.1.3.3).
#[derive(Deserialize)]
pub struct TokenAnswer {
    id_token: String,
    access_token: Option<String>,
    token_type: Option<String>,
}

/// Without the tokens.
impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenAnswer")
    }
}

impl TokenAnswer {
    /// # Errors
    /// When it is none.
    pub fn parse(text: &[u8]) -> Result<Self, OidcFault> {
        let read: Self = serde_json::from_slice(text).map_err(|_| OidcFault::AnswerInvalid)?;
        let is_bearer = read.token_type.as_ref().is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        if is_bearer { Ok(read) } else { Err(OidcFault::AnswerInvalid) }
    }

    /// By which the provider tells more of who has logged in.
    pub fn access_token(&self) -> Option<&str> {
        self.access_token.as_deref().filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
    }

    /// Who has logged in.
    ///
    /// # Errors
    /// Why the ID token says it of nobody.
    pub fn verify(&self, keys: &TokenKeys, rules: &IdTokenRules<'_>, now: SystemTime) -> Result<Identity, OidcFault> {
        let token = Token::parse(self.id_token.as_bytes())?;
        if token.algorithm.secret_length().is_some() {
            return Err(OidcFault::TokenAlgorithm);
        }
        keys.verify(&token)?;
        let claims = token.claims()?;
        if let (Some(hash), Some(access_token)) = (claims.get("at_hash"), &self.access_token) {
            let expected = half_hash(token.algorithm, access_token.as_bytes()).ok_or(OidcFault::TokenAlgorithm)?;
            if !hash.as_str().is_some_and(|hash| same(hash.as_bytes(), expected.as_bytes())) {
                return Err(OidcFault::TokenHash);
            }
        }
        rules.check(claims, now)
    }
}

/// What is asked of an ID token.
#[derive(Debug)]
pub struct IdTokenRules<'r> {
    pub issuer: &'r str,
    pub client_id: &'r str,
    pub nonce: &'r str,
}

impl IdTokenRules<'_> {
    fn check(&self, claims: Map<String, Value>, now: SystemTime) -> Result<Identity, OidcFault> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        // It is the newest of all reasons, and a token of another login has nothing else wrong.
        let nonce = text("nonce").unwrap_or_default().to_owned();
        let party = claims.get("azp").map(|party| party.as_str() == Some(self.client_id));
        let is_for_several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
        let sub = text("sub").filter(|sub| (1..=LONGEST_SUBJECT).contains(&sub.len())).map(str::to_owned);
        let all = Claims::new(claims.clone());
        let required = ["exp", "iat", "sub"].map(str::to_owned).to_vec();
        let audience = vec![self.client_id.to_owned()];
        let rules = ClaimRules { issuer: Some(self.issuer.to_owned()), audience, required, leeway: LEEWAY };
        all.check(&rules, now).map_err(|fault| match fault {
            TokenFault::Required => OidcFault::TokenClaims,
            other => other.into(),
        })?;
        if party == Some(false) || (party.is_none() && is_for_several) {
            return Err(OidcFault::TokenAudience);
        }
        if !same(nonce.as_bytes(), self.nonce.as_bytes()) {
            return Err(OidcFault::TokenNonce);
        }
        Ok(Identity { sub: sub.ok_or(OidcFault::TokenClaims)?, claims })
    }
}

/// The left half of a hash, by the algorithm of the signature (OpenID Connect Core section 3.1.3.6).
fn half_hash(algorithm: TokenAlgorithm, text: &[u8]) -> Option<String> {
    use TokenAlgorithm::{EdDsa, Es256, Es384, Hs256, Hs384, Hs512, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    let by = match algorithm {
        Rs256 | Ps256 | Es256 | Hs256 => &digest::SHA256,
        Rs384 | Ps384 | Es384 | Hs384 => &digest::SHA384,
        Rs512 | Ps512 | Hs512 | EdDsa => &digest::SHA512,
    };
    let hash = digest::digest(by, text);
    let half = hash.as_ref().get(..hash.as_ref().len() / 2)?;
    Some(BASE64URL_NOPAD.encode(half))
}

/// Who has logged in, as the provider says.
#[derive(Clone, Debug)]
pub struct Identity {
    pub sub: String,
    claims: Map<String, Value>,
}

impl Identity {
    /// Whether it lacks one of these claims.
    pub fn lacks(&self, wanted: &[String]) -> bool {
        wanted.iter().any(|name| self.claims.get(name).is_none_or(Value::is_null))
    }

    /// Adds what the provider tells elsewhere of the same person (OpenID Connect Core section 5.3.2). What
    /// the ID token says stays.
    ///
    /// # Errors
    /// When it is of another person, or cannot be read.
    pub fn add(&mut self, user_info: &[u8]) -> Result<(), OidcFault> {
        let told: Map<String, Value> = serde_json::from_slice(user_info).map_err(|_| OidcFault::UserInfo)?;
        if told.get("sub").and_then(Value::as_str) != Some(&self.sub) {
            return Err(OidcFault::UserInfo);
        }
        for (name, value) in told {
            if self.claims.get(&name).is_none_or(Value::is_null) {
                self.claims.insert(name, value);
            }
        }
        Ok(())
    }

    /// Each of these claims, where there is one, for a session.
    ///
    /// # Errors
    /// When a required one is missing, or when a number cannot be told exactly.
    pub fn kept(&self, wanted: &[String], required: &[String]) -> Result<Vec<KeptClaim>, OidcFault> {
        if self.lacks(required) {
            return Err(OidcFault::ClaimMissing);
        }
        let kept = self.claims.iter().filter(|(name, value)| wanted.contains(name) && !value.is_null());
        let kept: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        let is_there: Vec<bool> = wanted.iter().map(|name| kept.contains_key(name)).collect();
        let mut texts = Claims::new(kept).into_texts()?;
        let mut take = |name: &String| {
            let at = texts.iter().position(|(claim, _)| claim == name)?;
            Some(Kept::Text(texts.swap_remove(at).1))
        };
        let one = |(name, is_there): (&String, bool)| {
            let kept = take(name).or(is_there.then_some(Kept::Untold(true)));
            (name.clone(), kept)
        };
        Ok(wanted.iter().zip(is_there).map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use serde_json::json;

    const RULES: IdTokenRules<'_> = IdTokenRules { issuer: "https://id.test", client_id: "shop", nonce: "n" };

    fn checked(change: impl FnOnce(&mut Value)) -> Result<Identity, OidcFault> {
        let mut claims =
            json!({ "iss": "https://id.test", "aud": "shop", "sub": "ann", "exp": 1060, "iat": 1000, "nonce": "n" });
        change(&mut claims);
        let Value::Object(claims) = claims else { panic!("{claims}") };
        RULES.check(claims, UNIX_EPOCH + Duration::from_secs(1000))
    }

    #[test]
    fn an_id_token_is_of_this_provider_for_this_client_and_this_login() {
        assert_eq!(checked(|_| {}).unwrap().sub, "ann");
        let both = json!(["shop", "cart"]);
        assert!(checked(|all| (all["aud"], all["azp"]) = (both.clone(), json!("shop"))).is_ok());
        assert!(checked(|all| all["aud"] = json!(["shop"])).is_ok());
        for (name, value, fault) in [
            ("iss", json!("https://id.test/"), OidcFault::TokenIssuer),
            ("iss", json!(null), OidcFault::TokenIssuer),
            ("aud", json!("cart"), OidcFault::TokenAudience),
            ("aud", both, OidcFault::TokenAudience),
            ("azp", json!("cart"), OidcFault::TokenAudience),
            ("azp", json!(["shop"]), OidcFault::TokenAudience),
            ("exp", json!(900), OidcFault::TokenExpired),
            ("exp", json!("x"), OidcFault::TokenClaims),
            ("iat", json!(1100), OidcFault::TokenExpired),
            ("nbf", json!(1100), OidcFault::TokenExpired),
            ("nonce", json!("m"), OidcFault::TokenNonce),
            ("nonce", json!(null), OidcFault::TokenNonce),
            ("nonce", json!(["n"]), OidcFault::TokenNonce),
            ("sub", json!(""), OidcFault::TokenClaims),
            ("sub", json!(7), OidcFault::TokenClaims),
            ("sub", json!("x".repeat(256)), OidcFault::TokenClaims),
        ] {
            assert_eq!(checked(|all| all[name] = value.clone()).map(|_| ()), Err(fault), "{name}: {value}");
        }
        for name in ["iss", "aud", "sub", "exp", "iat", "nonce"] {
            let gone = checked(|all| drop(all.as_object_mut().unwrap().remove(name)));
            assert!(gone.is_err(), "{name}");
        }
    }

    /// OpenID Connect Core appendix A.3 has the hash of RS256.
    #[test]
    fn the_hash_of_an_access_token_is_that_of_the_standard() {
        let token = b"jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(half_hash(TokenAlgorithm::Rs256, token).unwrap(), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(half_hash(TokenAlgorithm::EdDsa, token).unwrap().len(), 43);
    }

    #[test]
    fn claims_that_the_token_lacks_are_those_of_the_same_person() {
        let mut ann = checked(|all| all["role"] = json!(["a", "b"])).unwrap();
        let wanted = ["email", "role", "x"].map(str::to_owned);
        assert!(ann.lacks(&wanted) && !ann.lacks(&wanted[1..2]));
        assert_eq!(ann.add(br#"{"sub":"eve","email":"e@b"}"#), Err(OidcFault::UserInfo));
        assert_eq!(ann.add(br#"{"email":"e@b"}"#), Err(OidcFault::UserInfo));
        assert_eq!(ann.add(br#"{"sub":"ann","email":"a@b","role":"admin"}"#), Ok(()));
        let kept: Vec<_> = ann.kept(&wanted, &wanted[..2]).unwrap().into_iter().map(|(_, kept)| kept).collect();
        let some = |text: &str| Some(Kept::Text(text.to_owned()));
        assert_eq!(kept, [some("a@b"), some("a,b"), None]);
        assert_eq!(ann.kept(&wanted, &wanted), Err(OidcFault::ClaimMissing));
        assert_eq!(ann.add(br#"{"sub":"ann","x":{"y":1}}"#), Ok(()));
        assert_eq!(ann.kept(&wanted, &wanted).unwrap()[2].1, Some(Kept::Untold(true)));
    }
}
