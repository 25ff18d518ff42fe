//! Session tickets (RFC 5077, RFC 8446 section 4.6.1): what a client needs to resume its session,
//! encrypted with keys of ours, so that nothing is kept for it here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

use crate::config::TicketKey;

/// How long a session can be resumed. Three keys that take turns every 12 hours keep a ticket
/// readable for as long.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How far the clocks of a fleet may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
const NAME: usize = 16;
const SALT: usize = 16;
const TIME: usize = 8;
const KEY: usize = 32;
/// A session is larger only with a chain of client certificates that nobody has.
const LARGEST: usize = 32 << 10;

/// The keys in use, which are replaced while connections are served.
pub struct TicketKeys(ArcSwap<Vec<NamedKey>>);

struct NamedKey {
    /// By which a ticket says which key it needs.
    name: [u8; NAME],
    secret: TicketKey,
}

/// Without the secrets.
impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TicketKeys({})", self.0.load().len())
    }
}

impl TicketKeys {
    /// The first key encrypts, all of them decrypt. Without one no session is resumed.
    pub fn new(keys: &[TicketKey]) -> Self {
        Self(ArcSwap::from_pointee(named(keys)))
    }

    pub fn replace(&self, keys: &[TicketKey]) {
        self.0.store(Arc::new(named(keys)));
    }
}

fn named(keys: &[TicketKey]) -> Vec<NamedKey> {
    let name = |key: &TicketKey| {
        let hash = digest(&SHA256, &[b"pingora-proxy ticket key name", &key.0[..]].concat());
        let mut name = [0; NAME];
        name.copy_from_slice(&hash.as_ref()[..NAME]);
        name
    };
    keys.iter().map(|key| NamedKey { name: name(key), secret: key.clone() }).collect()
}

/// The tickets of one rule for client certificates of one listener.
#[derive(Debug)]
pub struct Tickets {
    keys: Arc<TicketKeys>,
    /// What the tickets are bound to. A session that began under another rule is not resumed here:
    /// its client was let in without what this rule asks for.
    binding: [u8; 32],
}

impl Tickets {
    pub fn new(keys: Arc<TicketKeys>, binding: [u8; 32]) -> Self {
        Self { keys, binding }
    }

    /// A key for each ticket, so that no nonce is ever used twice with one.
    fn cipher(&self, secret: &TicketKey, salt: &[u8]) -> Option<(LessSafeKey, Nonce)> {
        struct Length;
        impl KeyType for Length {
            fn len(&self) -> usize {
                KEY + NONCE_LEN
            }
        }
        let mut made = [0; KEY + NONCE_LEN];
        let prk = Salt::new(HKDF_SHA256, salt).extract(&secret.0);
        prk.expand(&[&self.binding], Length).ok()?.fill(&mut made).ok()?;
        let (key, nonce) = made.split_at(KEY);
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        Some((key, Nonce::try_assume_unique_for_key(nonce).ok()?))
    }

    fn seal(&self, session: &[u8], now: Duration) -> Option<Vec<u8>> {
        let keys = self.keys.0.load();
        let key = keys.first().filter(|_| session.len() <= LARGEST)?;
        let mut salt = [0; SALT];
        rand::fill(&mut salt).ok()?;
        let (cipher, nonce) = self.cipher(&key.secret, &salt)?;
        let mut sealed = [&now.as_secs().to_be_bytes()[..], session].concat();
        cipher.seal_in_place_append_tag(nonce, Aad::from(key.name), &mut sealed).ok()?;
        Some([&key.name[..], &salt, &sealed].concat())
    }

    fn open(&self, ticket: &[u8], now: Duration) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (salt, sealed) = rest.split_at_checked(SALT)?;
        let keys = self.keys.0.load();
        let key = keys.iter().find(|key| key.name == name)?;
        let (cipher, nonce) = self.cipher(&key.secret, salt)?;
        let mut opened = sealed.to_vec();
        let opened = cipher.open_in_place(nonce, Aad::from(key.name), &mut opened).ok()?;
        let (issued, session) = opened.split_first_chunk::<TIME>()?;
        let issued = Duration::from_secs(u64::from_be_bytes(*issued));
        let is_valid = now <= issued + LIFETIME && issued <= now + CLOCK_SKEW;
        is_valid.then(|| session.to_vec())
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.keys.0.load().is_empty()
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFETIME.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(first: &[u8]) -> Arc<TicketKeys> {
        Arc::new(TicketKeys::new(&first.iter().map(|byte| TicketKey([*byte; 32])).collect::<Vec<_>>()))
    }

    #[test]
    fn a_ticket_is_opened_by_its_key_and_its_rule_alone() {
        let of = |known: &[u8], rule: u8| Tickets::new(keys(known), [rule; 32]);
        let ticket = of(&[1, 2], 7).encrypt(b"session").unwrap();
        assert_eq!(of(&[3, 1], 7).decrypt(&ticket).as_deref(), Some(&b"session"[..]), "another process");
        assert_eq!(of(&[2, 3], 7).decrypt(&ticket), None, "a key that is gone");
        assert_eq!(of(&[1, 2], 8).decrypt(&ticket), None, "another rule");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(of(&[1, 2], 7).decrypt(&changed), None, "{at}");
            assert_eq!(of(&[1, 2], 7).decrypt(&ticket[..at]), None, "{at}");
        }
        assert_ne!(of(&[1], 7).encrypt(b"session"), Some(ticket), "each has a key of its own");
    }

    #[test]
    fn a_ticket_ends_with_its_lifetime_and_is_not_made_without_a_key() {
        let (tickets, start) = (Tickets::new(keys(&[1]), [0; 32]), Duration::from_secs(1_000_000));
        let ticket = tickets.seal(b"s", start).unwrap();
        assert!(tickets.open(&ticket, start + LIFETIME).is_some());
        assert!(tickets.open(&ticket, start + LIFETIME + Duration::from_secs(1)).is_none());
        assert!(tickets.open(&ticket, start - CLOCK_SKEW).is_some());
        assert!(tickets.open(&ticket, start - CLOCK_SKEW - Duration::from_secs(1)).is_none());
        assert!(tickets.seal(&vec![0; LARGEST + 1], start).is_none());
        let none = Tickets::new(keys(&[]), [0; 32]);
        assert!(!none.enabled() && none.encrypt(b"s").is_none());
    }

    #[test]
    fn keys_that_were_replaced_take_effect_at_once() {
        let keys = keys(&[1]);
        let tickets = Tickets::new(Arc::clone(&keys), [0; 32]);
        let old = tickets.encrypt(b"s").unwrap();
        keys.replace(&[TicketKey([2; 32]), TicketKey([1; 32])]);
        let new = tickets.encrypt(b"s").unwrap();
        assert_ne!(old[..NAME], new[..NAME]);
        assert!(tickets.decrypt(&old).is_some() && tickets.decrypt(&new).is_some());
        keys.replace(&[TicketKey([2; 32])]);
        assert!(tickets.decrypt(&old).is_none() && tickets.decrypt(&new).is_some());
    }
}
