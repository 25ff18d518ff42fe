//! Which credentials were checked lately, by a keyed hash: whoever reads the process's memory later
//! finds no password there.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

/// How long credentials are known to be good after they were used. A changed users file ends that at once.
pub const GOOD_FOR: Duration = Duration::from_secs(300);
/// How long credentials are known to be wrong: a client that repeats an old password costs nothing.
const WRONG_FOR: Duration = Duration::from_secs(5);
/// Wrong ones that are known at once; more displace each other.
const MOST_WRONG: usize = 1024;

type Tag = [u8; 32];

/// The hash of credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(Tag);

/// Makes fingerprints, by a random key of its own.
#[derive(Debug)]
pub struct Fingerprints(hmac::Key);

impl Fingerprints {
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new() -> Result<Self, String> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new());
        key.map(Self).map_err(|_| "the system gives no random numbers".to_owned())
    }

    pub fn of(&self, credentials: &[u8]) -> Fingerprint {
        let tag = hmac::sign(&self.0, credentials);
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        Fingerprint(bytes)
    }
}

impl Fingerprint {
    /// A number that nobody can foresee.
    pub fn number(self) -> usize {
        let [first, second, third, fourth, ..] = self.0;
        u32::from_le_bytes([first, second, third, fourth]) as usize
    }
}

/// Place for one fingerprint, for a time.
#[derive(Debug, Default)]
pub struct Remembered(Mutex<Option<(Fingerprint, Instant)>>);

impl Remembered {
    pub fn note(&self, fingerprint: Fingerprint, time: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((fingerprint, Instant::now() + time));
    }

    pub fn is(&self, fingerprint: Fingerprint) -> bool {
        self.look(fingerprint, |_| ())
    }

    /// The same; if so, it is known for another such time. A password is good for as long as its hash is
    /// the same, so that nothing has to be checked again.
    pub fn is_used(&self, fingerprint: Fingerprint, time: Duration) -> bool {
        self.look(fingerprint, |until| *until = Instant::now() + time)
    }

    fn look(&self, fingerprint: Fingerprint, then: impl FnOnce(&mut Instant)) -> bool {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = place.as_mut().filter(|(known, until)| {
            aws_lc_rs::constant_time::verify_slices_are_equal(&known.0, &fingerprint.0).is_ok()
                && Instant::now() < *until
        });
        known.map(|(_, until)| then(until)).is_some()
    }
}

/// Credentials that were wrong lately.
#[derive(Debug)]
pub struct Wrong(Box<[Remembered]>);

impl Default for Wrong {
    fn default() -> Self {
        Self((0..MOST_WRONG).map(|_| Remembered::default()).collect())
    }
}

impl Wrong {
    fn place(&self, fingerprint: Fingerprint) -> Option<&Remembered> {
        self.0.get(fingerprint.number() % MOST_WRONG)
    }

    pub fn note(&self, fingerprint: Fingerprint) {
        self.place(fingerprint).into_iter().for_each(|place| place.note(fingerprint, WRONG_FOR));
    }

    pub fn is(&self, fingerprint: Fingerprint) -> bool {
        self.place(fingerprint).is_some_and(|place| place.is(fingerprint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_known_for_longer() {
        let ours = Fingerprints::new().unwrap();
        let (good, bad) = (ours.of(b"ann:secret"), ours.of(b"ann:guess"));
        let place = Remembered::default();
        place.note(good, GOOD_FOR);
        let until = || place.0.lock().unwrap().unwrap().1;
        let before = until();
        assert!(!place.is_used(bad, 2 * GOOD_FOR) && until() == before);
        assert!(place.is_used(good, 2 * GOOD_FOR) && until() >= before + GOOD_FOR);
    }

    #[test]
    fn what_was_noted_is_known_for_its_time() {
        let (ours, others) = (Fingerprints::new().unwrap(), Fingerprints::new().unwrap());
        let (good, bad) = (ours.of(b"ann:secret"), ours.of(b"ann:guess"));
        assert_ne!(good, others.of(b"ann:secret"));
        let place = Remembered::default();
        assert!(!place.is(good));
        place.note(good, GOOD_FOR);
        assert!(place.is(good) && !place.is(bad));
        place.note(good, Duration::ZERO);
        assert!(!place.is(good) && !place.is_used(good, GOOD_FOR) && !place.is(good));
        let wrong = Wrong::default();
        wrong.note(bad);
        assert!(wrong.is(bad) && !wrong.is(good));
    }
}
