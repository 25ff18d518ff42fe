//! By what a limit counts, and what is remembered of that.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};

use crate::message::client::canonical;

/// What one request is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'k> {
    /// Of an IPv6 address the first 64 bits, which one subscriber has all of.
    Address(IpAddr),
    Value(&'k [u8]),
    /// The request has nothing of the kind, or nothing is asked for: all such are one.
    One,
}

impl Key<'_> {
    /// The key as bytes that no other key has.
    fn feed(&self, mut take: impl FnMut(&[u8])) {
        match self {
            Self::One => take(&[0]),
            Self::Value(value) => {
                take(&[1]);
                take(value);
            }
            Self::Address(ip) => match canonical(*ip) {
                IpAddr::V4(ip) => {
                    take(&[4]);
                    take(&ip.octets());
                }
                IpAddr::V6(ip) => {
                    take(&[6]);
                    take(&ip.octets()[..8]);
                }
            },
        }
    }

    /// 128 bits that the proxies of a fleet make alike and that do not give the key away, as it may
    /// be a secret: in hexadecimal.
    pub fn shared_name(&self) -> String {
        let mut context = Context::new(&SHA256);
        self.feed(|bytes| context.update(bytes));
        context.finish().as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// 128 bits of a keyed hash, which no client can aim at another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u64; 2]);

impl Fingerprint {
    /// For a choice among a power of two of things.
    pub fn choose(&self, among: usize) -> usize {
        let [_, second] = self.0;
        usize::try_from(second).unwrap_or_default() & (among - 1)
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, _] = self.0;
        state.write_u64(first);
    }
}

/// Makes fingerprints, with keys of its own.
#[derive(Debug, Default)]
pub struct Fingerprinter(RandomState, RandomState);

impl Fingerprinter {
    pub fn of(&self, key: &Key<'_>) -> Fingerprint {
        let hash = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            key.feed(|bytes| hasher.write(bytes));
            hasher.finish()
        };
        Fingerprint([hash(&self.0), hash(&self.1)])
    }
}

/// Takes a fingerprint's own bits, which are a hash already.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_one_exactly_where_they_should_be() {
        let prints = Fingerprinter::default();
        let ip = |text: &str| Key::Address(text.parse().unwrap());
        let same = [
            (ip("10.0.0.1"), ip("::ffff:10.0.0.1")),
            (ip("2001:db8:0:1::1"), ip("2001:db8:0:1:ffff::2")),
            (Key::Value(b"a"), Key::Value(b"a")),
        ];
        for (one, other) in same {
            assert_eq!((prints.of(&one), one.shared_name()), (prints.of(&other), other.shared_name()));
        }
        let all = [
            ip("10.0.0.1"),
            ip("10.0.0.2"),
            ip("2001:db8:0:1::1"),
            ip("2001:db8:0:2::1"),
            Key::One,
            Key::Value(b""),
            Key::Value(b"a"),
            Key::Value(b"b"),
            // The bytes that an address is told by.
            Key::Value(&[10, 0, 0, 1]),
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(prints.of(one), prints.of(other), "{one:?} {other:?}");
                assert_ne!(one.shared_name(), other.shared_name(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn what_a_fleet_shares_is_stable_and_tells_nothing() {
        assert_eq!(Key::Value(b"secret").shared_name(), Key::Value(b"secret").shared_name());
        assert_eq!(Key::One.shared_name(), "6e340b9cffb37a989ca544e6bb780a2c");
        assert_ne!(Fingerprinter::default().of(&Key::One), Fingerprinter::default().of(&Key::One));
    }
}
