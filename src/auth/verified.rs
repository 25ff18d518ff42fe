//! Tokens whose signature was verified lately. A signature costs more than the rest of a request, and
//! a client sends the same token for minutes.
//!
//! A token is known by a keyed hash of its whole text, together with a number that stands for the keys
//! and the rule by which it was verified. A number is given once: with other keys, or after a reload,
//! nothing of before is found. What is refused is not remembered.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aws_lc_rs::{constant_time, hmac};

use super::claims::Lifetime;

/// Sets of places; the hash of a token says in which one it is.
const SETS: usize = 2048;
/// Tokens of a set. One more displaces the one that was not used for longest.
const WAYS: usize = 4;
/// A longer token is verified each time.
const LONGEST: usize = 4096;
/// The same holds for one with larger claims, in bytes of memory: 64 MiB is the most that all take.
const LARGEST: usize = 8192;
/// The memory of a claim beside its texts, roughly.
const CLAIM: usize = 80;

/// What a verified token says.
#[derive(Debug)]
pub struct Told {
    /// Each claim as one text.
    pub texts: Vec<(String, String)>,
    pub lifetime: Lifetime,
}

impl Told {
    /// What is good for as long as whoever says it thinks so.
    pub fn always(texts: Vec<(String, String)>) -> Arc<Self> {
        Arc::new(Self { texts, lifetime: Lifetime::default() })
    }

    pub fn text(&self, claim: &str) -> Option<&str> {
        self.texts.iter().find(|(name, _)| name == claim).map(|(_, text)| text.as_str())
    }
}

/// The keys and the rule by which a token was verified.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedBy(u64);

impl VerifiedBy {
    /// One that nobody has had.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The hash of a token.
#[derive(Clone, Copy, Debug)]
pub struct Tag([u8; 32]);

#[derive(Debug)]
struct Known {
    tag: Tag,
    told: Arc<Told>,
}

#[derive(Debug)]
pub struct Verified {
    key: hmac::Key,
    sets: Box<[Mutex<[Option<Known>; WAYS]>]>,
}

impl Verified {
    /// That of the process; there is none when the system gives no random numbers.
    pub fn of_process() -> Option<&'static Self> {
        static ONE: LazyLock<Option<Verified>> = LazyLock::new(Verified::new);
        ONE.as_ref()
    }

    fn new() -> Option<Self> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new()).ok()?;
        Some(Self { key, sets: (0..SETS).map(|_| Mutex::default()).collect() })
    }

    /// `None` for a token that is too long to be remembered.
    pub fn tag(&self, token: &[u8], by: VerifiedBy) -> Option<Tag> {
        if token.len() > LONGEST {
            return None;
        }
        let mut hash = hmac::Context::with_key(&self.key);
        hash.update(&by.0.to_le_bytes());
        hash.update(token);
        hash.sign().as_ref().try_into().ok().map(Tag)
    }

    pub fn find(&self, tag: Tag) -> Option<Arc<Told>> {
        let mut set = self.set(tag)?.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |known: &Known| constant_time::verify_slices_are_equal(&known.tag.0, &tag.0).is_ok();
        let at = set.iter().position(|place| place.as_ref().is_some_and(is_it))?;
        let used = set.get_mut(..=at)?;
        used.rotate_right(1);
        used.first()?.as_ref().map(|known| Arc::clone(&known.told))
    }

    pub fn note(&self, tag: Tag, told: &Arc<Told>) {
        let size = |(name, text): &(String, String)| name.len() + text.len() + CLAIM;
        if told.texts.iter().map(size).sum::<usize>() > LARGEST {
            return;
        }
        let Some(set) = self.set(tag) else { return };
        let displaced = {
            let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
            // Two requests may have verified the same one at once.
            let again = set.iter().position(|place| place.as_ref().is_some_and(|known| known.tag.0 == tag.0));
            let used = set.get_mut(..=again.unwrap_or(WAYS - 1)).unwrap_or_default();
            used.rotate_right(1);
            used.first_mut().and_then(|place| place.replace(Known { tag, told: Arc::clone(told) }))
        };
        drop(displaced);
    }

    /// A token that has expired makes room.
    pub fn forget(&self, tag: Tag) {
        let Some(set) = self.set(tag) else { return };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        set.iter_mut()
            .filter(|place| place.as_ref().is_some_and(|known| known.tag.0 == tag.0))
            .for_each(|it| *it = None);
    }

    fn set(&self, tag: Tag) -> Option<&Mutex<[Option<Known>; WAYS]>> {
        let [first, second, third, fourth, ..] = tag.0;
        self.sets.get(u32::from_le_bytes([first, second, third, fourth]) as usize % SETS)
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.sets.iter().map(|set| set.lock().unwrap().iter().flatten().count()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Arc<Told> {
        Told::always(vec![("sub".to_owned(), text.to_owned())])
    }

    fn is_known(verified: &Verified, token: &[u8], by: VerifiedBy) -> bool {
        verified.find(verified.tag(token, by).unwrap()).is_some()
    }

    #[test]
    fn a_token_is_known_by_all_of_its_bits_and_by_its_rule() {
        let (verified, by) = (Verified::new().unwrap(), VerifiedBy::new());
        let token = b"header.claims.signature";
        verified.note(verified.tag(token, by).unwrap(), &told("ann"));
        assert!(is_known(&verified, token, by));
        assert!(!is_known(&verified, token, VerifiedBy::new()));
        for bit in 0..token.len() * 8 {
            let mut other = *token;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_known(&verified, &other, by), "{bit}");
        }
        assert!(!is_known(&verified, &token[..22], by) && !is_known(&verified, b"header.claims.signature ", by));
        verified.note(verified.tag(token, by).unwrap(), &told("ann"));
        assert_eq!(verified.count(), 1);
        verified.forget(verified.tag(token, by).unwrap());
        assert_eq!((is_known(&verified, token, by), verified.count()), (false, 0));
    }

    #[test]
    fn a_flood_of_tokens_stays_within_its_bounds_and_spares_one_that_is_used() {
        let (verified, by) = (Verified::new().unwrap(), VerifiedBy::new());
        let used = verified.tag(b"used", by).unwrap();
        verified.note(used, &told("ann"));
        let one = told("bob");
        for number in 0..4 * SETS * WAYS {
            verified.note(verified.tag(&number.to_le_bytes(), by).unwrap(), &one);
            assert!(verified.find(used).is_some(), "{number}");
        }
        let count = verified.count();
        assert!(count <= SETS * WAYS && count > SETS * WAYS * 9 / 10, "{count}");
        // Those that were displaced are held by nobody.
        assert_eq!(Arc::strong_count(&one), count);
    }

    #[test]
    fn what_is_large_is_not_remembered() {
        let (verified, by) = (Verified::new().unwrap(), VerifiedBy::new());
        assert!(verified.tag(&[b'a'; LONGEST], by).is_some());
        assert!(verified.tag(&[b'a'; LONGEST + 1], by).is_none());
        let tag = verified.tag(b"token", by).unwrap();
        verified.note(tag, &told(&"x".repeat(LARGEST)));
        assert_eq!(verified.count(), 0);
        verified.note(tag, &told(&"x".repeat(LARGEST - CLAIM - 3)));
        assert_eq!(verified.count(), 1);
    }
}
