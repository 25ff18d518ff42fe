//! One attempt to log in, between the redirect to the provider and the way back from it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{digest, rand};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

/// How long somebody may take at the provider.
const LIFETIME: Duration = Duration::from_secs(600);
/// In bytes; the provider gets it back, and nobody guesses it.
const RANDOM: usize = 24;
/// RFC 7636 section 4.1.
const RANDOM_OF_VERIFIER: usize = 32;

/// What the cookie of an attempt holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginAttempt {
    #[serde(rename = "s")]
    pub state: String,
    #[serde(rename = "n")]
    pub nonce: String,
    /// Whoever takes the code to the provider has to show it (PKCE, RFC 7636).
    #[serde(rename = "v")]
    pub verifier: String,
    /// Where it began: a path, with its query.
    #[serde(rename = "t")]
    pub to: String,
    /// When, in seconds since 1970.
    #[serde(rename = "i")]
    begun: u64,
}

impl LoginAttempt {
    pub const SECONDS: u64 = LIFETIME.as_secs();

    /// `None` where there is no randomness.
    pub fn begin(to: String, now: SystemTime) -> Option<Self> {
        let (state, nonce) = (random(RANDOM)?, random(RANDOM)?);
        Some(Self { state, nonce, verifier: random(RANDOM_OF_VERIFIER)?, to, begun: seconds(now) })
    }

    /// What the provider is told of the verifier (RFC 7636 section 4.2).
    pub fn challenge(&self) -> String {
        BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, self.verifier.as_bytes()).as_ref())
    }

    pub fn to_text(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(self).ok()
    }

    /// An attempt that is not over; `None` for any other.
    pub fn read(text: &[u8], now: SystemTime) -> Option<Self> {
        let read: Self = serde_json::from_slice(text).ok()?;
        let now = seconds(now);
        // One of a proxy whose clock is ahead is good.
        (now < read.begun.saturating_add(Self::SECONDS) && read.begun <= now.saturating_add(Self::SECONDS))
            .then_some(read)
    }

    pub fn begun(&self) -> u64 {
        self.begun
    }
}

fn random(length: usize) -> Option<String> {
    let mut bytes = [0; RANDOM_OF_VERIFIER];
    let bytes = bytes.get_mut(..length)?;
    rand::fill(bytes).ok()?;
    Some(BASE64URL_NOPAD.encode(bytes))
}

pub fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_good_for_ten_minutes_and_like_no_other() {
        let begun = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let (one, other) = (LoginAttempt::begin("/a?b".into(), begun), LoginAttempt::begin("/a?b".into(), begun));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert!(one.state != other.state && one.nonce != other.nonce && one.verifier != other.verifier);
        assert!(one.state != one.nonce && one.verifier.len() == 43 && one.state.len() == 32);
        let text = one.to_text().unwrap();
        let read = |after: u64| LoginAttempt::read(&text, begun + Duration::from_secs(after));
        assert_eq!((read(0), read(599), read(600)), (Some(one.clone()), Some(one), None));
        assert_eq!(LoginAttempt::read(b"{}", begun), None);
    }

    /// RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_that_of_the_standard() {
        let attempt = LoginAttempt::begin(String::new(), UNIX_EPOCH).unwrap();
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let attempt = LoginAttempt { verifier, ..attempt };
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
