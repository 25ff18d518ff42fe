//! What names a request in every line about it: made here, or taken from a proxy in front.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use uuid::{Builder, Uuid};

use super::hash;

/// The longest id that is taken, in bytes: a line of a log is bounded.
const LONGEST: usize = 128;

/// Ids that were made sort by the time of their requests: they are UUIDs of version 7 (RFC 9562
/// section 5.7). They are unique, and no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Origin);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Made(Uuid),
    Taken(Box<str>),
}

impl RequestId {
    /// The id of a request that came at this time.
    pub fn new(at: SystemTime) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static SEED: LazyLock<u64> = LazyLock::new(|| {
            use std::hash::{BuildHasher, Hasher};
            std::hash::RandomState::new().build_hasher().finish()
        });
        Self::of(at, hash::nth(*SEED, NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// That of a request which is only spoken of.
    pub fn example() -> Self {
        Self::of(UNIX_EPOCH, 0)
    }

    /// Behind the milliseconds stands the rest of the time, so that ids of one millisecond sort, too
    /// (RFC 9562 section 6.2, method 3).
    fn of(at: SystemTime, unique: u64) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        // 4096 of them are a millisecond.
        let fraction = u16::try_from((since.subsec_nanos() % 1_000_000) * 512 / 125_000).unwrap_or(u16::MAX);
        let mut rest = [0; 10];
        rest[..2].copy_from_slice(&fraction.to_be_bytes());
        rest[2..].copy_from_slice(&unique.to_be_bytes());
        Self(Origin::Made(Builder::from_unix_timestamp_millis(millis, &rest).into_uuid()))
    }

    /// The id that a trusted proxy has given; `None` where it is nothing that a log, a page or a shell
    /// would hold as it is.
    pub fn taken(text: &[u8]) -> Option<Self> {
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(b);
        let text = std::str::from_utf8(text).ok()?;
        let fits = (1..=LONGEST).contains(&text.len()) && text.as_bytes().iter().all(is_plain);
        fits.then(|| Self(Origin::Taken(text.into())))
    }

    /// One that was made, as the number that stands for it.
    pub fn number(&self) -> Option<u128> {
        match &self.0 {
            Origin::Made(id) => Some(id.as_u128()),
            Origin::Taken(_) => None,
        }
    }

    /// Appends it as text.
    pub fn push_to(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Origin::Made(id) => {
                out.extend_from_slice(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes())
            }
            Origin::Taken(text) => out.extend_from_slice(text.as_bytes()),
        }
    }

    /// As the value of a header field. HTTP/2 keeps it out of its tables: no other request has it, and
    /// there it would push out what others have (RFC 7541 section 6.2.3).
    pub fn to_field(&self) -> Option<HeaderValue> {
        let mut field = match &self.0 {
            Origin::Made(id) => HeaderValue::from_str(id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            Origin::Taken(text) => HeaderValue::from_str(text),
        }
        .ok()?;
        field.set_sensitive(true);
        Some(field)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Origin::Made(id) => fmt::Display::fmt(id.as_hyphenated(), f),
            Origin::Taken(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn ids_are_unique_and_sort_by_time() {
        let at = UNIX_EPOCH + Duration::from_nanos(1_764_000_000_123_456_789);
        let later = |nanos| RequestId::of(at + Duration::from_nanos(nanos), 7).to_string();
        assert!(later(0) < later(1_000) && later(1_000) < later(900_000) && later(900_000) < later(1_000_000_000));
        let ids: BTreeSet<_> = (0..10_000).map(|_| RequestId::new(at).to_string()).collect();
        assert_eq!(ids.len(), 10_000);
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_in_every_form() {
        let at = UNIX_EPOCH + Duration::from_millis(0x019a_c8b2_4c7b);
        let id = RequestId::of(at, u64::MAX);
        assert_eq!(id.to_string(), "019ac8b2-4c7b-7000-bfff-ffffffffffff");
        assert_eq!(id.number(), Some(0x019a_c8b2_4c7b_7000_bfff_ffff_ffff_ffff));
        let mut out = Vec::new();
        id.push_to(&mut out);
        assert_eq!((out.as_slice(), id.to_field().unwrap().as_bytes()), (id.to_string().as_bytes(), out.as_slice()));
    }

    #[test]
    fn what_is_taken_is_plain_and_bounded() {
        for good in ["a", "7f3c-0a", "Root=1-67891233-abcdef012345678912345678", &"x".repeat(128)] {
            assert_eq!(RequestId::taken(good.as_bytes()).unwrap().to_string(), good);
        }
        for bad in ["", "a b", "a\"", "a\\", "<a>", "a;b", "é", "a\u{1b}", &"x".repeat(129)] {
            assert_eq!(RequestId::taken(bad.as_bytes()), None, "{bad}");
        }
    }
}
