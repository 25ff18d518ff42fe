//! Seals what a cookie holds: nobody but a proxy with the same secret can read or make it, and what was
//! sealed for one purpose is good for no other.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::{constant_time, rand};
use data_encoding::BASE64URL_NOPAD;

/// AES-256-GCM-SIV (RFC 8452), by which a nonce that came twice, as random ones of 96 bits do at some
/// time, would tell no more than that two texts are the same.
static AEAD: &Algorithm = &AES_256_GCM_SIV;
const TAG_LENGTH: usize = 16;
/// In front of what is sealed: another form would have another one.
const VERSION: u8 = 1;
const SALT: &[u8] = b"pingora-proxy auth.oidc";

/// What a cookie is for; each has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Session,
    Attempt,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Session => b"session",
            Self::Attempt => b"attempt",
        }
    }
}

/// The keys of one file of secrets.
#[derive(Debug)]
pub struct Seals {
    session: Vec<LessSafeKey>,
    attempt: Vec<LessSafeKey>,
}

impl Seals {
    /// `None` only if the secrets are more than any key is derived from.
    pub fn new(secrets: &[Vec<u8>]) -> Option<Self> {
        let keys = |purpose| secrets.iter().map(|secret| key(secret, purpose)).collect::<Option<Vec<_>>>();
        Some(Self { session: keys(Purpose::Session)?, attempt: keys(Purpose::Attempt)? })
    }

    fn keys(&self, purpose: Purpose) -> &[LessSafeKey] {
        match purpose {
            Purpose::Session => &self.session,
            Purpose::Attempt => &self.attempt,
        }
    }

    /// The value of a cookie that holds the text; `None` where there is no randomness. `bound`: what has
    /// to be the same when it is opened.
    pub fn seal(&self, purpose: Purpose, bound: &[&[u8]], text: &[u8]) -> Option<String> {
        let key = self.keys(purpose).first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len() + TAG_LENGTH);
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        let mut body = text.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(joined(bound)), &mut body).ok()?;
        sealed.extend_from_slice(&body);
        Some(BASE64URL_NOPAD.encode(&sealed))
    }

    /// The text that was sealed; `None` where it was not by one of the secrets, for this purpose and for
    /// what is `bound`.
    pub fn open(&self, purpose: Purpose, bound: &[&[u8]], value: &[u8]) -> Option<Vec<u8>> {
        let sealed = BASE64URL_NOPAD.decode(value).ok()?;
        let (version, rest) = sealed.split_first()?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).filter(|_| *version == VERSION)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
        let bound = joined(bound);
        self.keys(purpose).iter().find_map(|key| {
            let mut opened = body.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            let length = key.open_in_place(nonce, Aad::from(&bound), &mut opened).ok()?.len();
            opened.truncate(length);
            Some(opened)
        })
    }
}

fn key(secret: &[u8], purpose: Purpose) -> Option<LessSafeKey> {
    let derived = Salt::new(HKDF_SHA256, SALT).extract(secret);
    let info = [purpose.label()];
    let derived = derived.expand(&info, AEAD).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(derived)))
}

/// Each part behind its length, so that no two lists become one.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        all.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}

/// Whether two texts are the same; how long it takes does not tell where they differ.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seals(secrets: &[&str]) -> Seals {
        Seals::new(&secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_by_who_has_the_secret_for_the_same_only() {
        let ours = seals(&["one"]);
        let sealed = ours.seal(Purpose::Session, &[b"a", b"bc"], b"text").unwrap();
        let open = |seals: &Seals, purpose, bound: &[&[u8]], value: &str| seals.open(purpose, bound, value.as_bytes());
        assert_eq!(open(&ours, Purpose::Session, &[b"a", b"bc"], &sealed).as_deref(), Some(&b"text"[..]));
        assert_eq!(open(&ours, Purpose::Attempt, &[b"a", b"bc"], &sealed), None);
        assert_eq!(open(&ours, Purpose::Session, &[b"ab", b"c"], &sealed), None);
        assert_eq!(open(&ours, Purpose::Session, &[b"a"], &sealed), None);
        assert_eq!(open(&seals(&["two"]), Purpose::Session, &[b"a", b"bc"], &sealed), None);
        // Each bit of it counts, and its form is the only one.
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).unwrap();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let other = BASE64URL_NOPAD.encode(&other);
            assert_eq!(open(&ours, Purpose::Session, &[b"a", b"bc"], &other), None, "{at}");
        }
        for bad in ["", "A", "AQ", &sealed[..30], &format!("{sealed}="), &format!("{sealed}AAAA")] {
            assert_eq!(open(&ours, Purpose::Session, &[b"a", b"bc"], bad), None, "{bad}");
        }
    }

    #[test]
    fn an_older_secret_opens_and_the_first_seals() {
        let (old, both, new) = (seals(&["old"]), seals(&["new", "old"]), seals(&["new"]));
        let of_old = old.seal(Purpose::Attempt, &[], b"x").unwrap();
        let of_both = both.seal(Purpose::Attempt, &[], b"x").unwrap();
        let opens = |seals: &Seals, value: &str| seals.open(Purpose::Attempt, &[], value.as_bytes()).is_some();
        assert!(opens(&both, &of_old) && opens(&new, &of_both) && opens(&both, &of_both));
        assert!(!opens(&old, &of_both) && !opens(&new, &of_old));
        assert_ne!(of_both, both.seal(Purpose::Attempt, &[], b"x").unwrap());
    }
}
