//! What is remembered of each key in this process: exact, in bounded memory, and for all workers.
//!
//! A key that has paid for all its requests needs no entry: it is as one that was never seen. A
//! shard that is full forgets such keys first. Where that does not make room, because more keys are
//! active than fit, it forgets the sixteenth of its keys that would have paid soonest. Each of these
//! gains the requests that it had used, at most a burst. The keys at their limit owe the most and
//! stay, so that whoever brings many addresses neither frees those that he has used up nor locks
//! others out, as a table that takes no new keys would.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::key::{AsItIs, Fingerprint, Fingerprinter, Key};
use super::quota::{Decision, Quota};

#[derive(Debug)]
pub struct Table {
    prints: Fingerprinter,
    /// A power of two of them, so that workers seldom meet at one.
    shards: Box<[Mutex<Shard>]>,
}

/// Keys of a shard: to go through all of them takes microseconds.
const KEYS_OF_A_SHARD: usize = 1024;
const MOST_SHARDS: usize = 8192;

/// On a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Shard {
    /// When each key will have paid for its requests.
    paid: HashMap<Fingerprint, u64, BuildHasherDefault<AsItIs>>,
    most: usize,
    /// How many requests were given back.
    given_back: u64,
}

/// A request that was counted, and can be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// When it came.
    at: u64,
    /// When its key will have paid for it.
    paid: u64,
    /// How many were given back before.
    given_back: u64,
}

impl Table {
    /// Remembers this many keys, or a few more.
    pub fn new(most_keys: usize) -> Self {
        let shards = (most_keys / KEYS_OF_A_SHARD).clamp(1, MOST_SHARDS);
        // The power of two that is not larger.
        let shards = 1 << shards.ilog2();
        let most = most_keys.div_ceil(shards).max(1);
        let shard = |_| Mutex::new(Shard { paid: HashMap::default(), most, given_back: 0 });
        Self { prints: Fingerprinter::default(), shards: (0..shards).map(shard).collect() }
    }

    /// Counts a request, unless it is refused. Whether a key was forgotten that had not paid yet.
    pub fn take(&self, key: &Key<'_>, quota: &Quota, now: u64) -> (Decision, bool, Counted) {
        let print = self.prints.of(key);
        let mut shard = self.shard(print);
        let given_back = shard.given_back;
        match shard.paid.get_mut(&print) {
            Some(paid) => {
                let (decision, then) = quota.take(*paid, now);
                *paid = then;
                (decision, false, Counted { at: now, paid: then, given_back })
            }
            None => {
                let (decision, then) = quota.take(0, now);
                (decision, shard.insert(print, then, now), Counted { at: now, paid: then, given_back })
            }
        }
    }

    /// Gives back what a request that passed has still to pay, and never more: a request that was paid
    /// for meanwhile made room for nobody. Where others were given back since, it may have been paid for
    /// from the moment that it came. What the key has now.
    pub fn give_back(&self, key: &Key<'_>, quota: &Quota, counted: Counted, now: u64) -> Decision {
        let print = self.prints.of(key);
        let mut shard = self.shard(print);
        let is_alone = shard.given_back == counted.given_back;
        let held = if is_alone { 0 } else { now.saturating_sub(counted.at) };
        let rest = quota.rest_of_one(counted.paid, now, held);
        let Some(paid) = shard.paid.get_mut(&print) else { return quota.read(0, true) };
        *paid = paid.saturating_sub(rest);
        let debt = paid.saturating_sub(now);
        shard.given_back += 1;
        quota.read(debt, true)
    }

    /// What would become of a request.
    pub fn look(&self, key: &Key<'_>, quota: &Quota, now: u64) -> Decision {
        let print = self.prints.of(key);
        let paid = self.shard(print).paid.get(&print).copied();
        quota.take(paid.unwrap_or_default(), now).0
    }

    /// Remembers what was counted elsewhere, unless more is known here. Whether a key was forgotten
    /// that had not paid yet.
    pub fn note(&self, key: &Key<'_>, paid: u64, now: u64) -> bool {
        let print = self.prints.of(key);
        let mut shard = self.shard(print);
        match shard.paid.get_mut(&print) {
            Some(known) => {
                *known = paid.max(*known);
                false
            }
            None => shard.insert(print, paid, now),
        }
    }

    fn shard(&self, print: Fingerprint) -> MutexGuard<'_, Shard> {
        // There is no shard only if there is none at all, which `new` does not make.
        self.shards[print.choose(self.shards.len())].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Whether a key was forgotten that had not paid yet.
    fn insert(&mut self, print: Fingerprint, paid: u64, now: u64) -> bool {
        let forgot = self.paid.len() >= self.most && self.make_room(now);
        self.paid.insert(print, paid);
        forgot
    }

    /// Forgets the keys that have paid, and at least a sixteenth of all.
    fn make_room(&mut self, now: u64) -> bool {
        let mut times: Vec<u64> = self.paid.values().copied().collect();
        let at = times.len() / 16;
        let (_, limit, _) = times.select_nth_unstable(at);
        let limit = (*limit).max(now);
        // Of many with the same time no more than needed.
        let mut active = at + 1;
        self.paid.retain(|_, paid| {
            let goes = *paid <= now || (*paid <= limit && active > 0);
            active -= usize::from(goes && *paid > now).min(active);
            !goes
        });
        active <= at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::RequestRate;

    const SECOND: u64 = 1_000_000_000;

    fn quota(count: u32, burst: u32) -> Quota {
        Quota::new(RequestRate { count, per: Duration::from_secs(1) }, burst)
    }

    fn length(table: &Table) -> usize {
        table.shards.iter().map(|shard| shard.lock().unwrap().paid.len()).sum()
    }

    /// How many of `turns` requests of a key pass.
    fn passed(table: &Table, quota: &Quota, key: u32, now: u64, turns: usize) -> usize {
        (0..turns).filter(|_| table.take(&Key::Value(&key.to_be_bytes()), quota, now).0.passes).count()
    }

    #[test]
    fn each_key_has_a_limit_of_its_own() {
        let (table, quota) = (Table::new(100_000), quota(10, 5));
        for key in 0..1000 {
            assert_eq!(passed(&table, &quota, key, SECOND, 9), 5, "{key}");
        }
        assert_eq!(length(&table), 1000);
    }

    #[test]
    fn a_full_table_forgets_keys_that_have_paid_and_no_other() {
        let (table, quota) = (Table::new(1000), quota(10, 5));
        (0..500).for_each(|key| assert_eq!(passed(&table, &quota, key, SECOND, 1), 1));
        let later = SECOND + SECOND / 5;
        (500..1000).for_each(|key| assert_eq!(passed(&table, &quota, key, later, 9), 5));
        // The first half has paid by now, and the second has not.
        let forgot = (1000..1500).any(|key| table.take(&Key::Value(&u32::to_be_bytes(key)), &quota, later).1);
        assert!(!forgot);
        (500..1000).for_each(|key| assert_eq!(passed(&table, &quota, key, later, 1), 0, "{key}"));
        assert!(length(&table) <= 1000);
    }

    #[test]
    fn a_table_full_of_active_keys_keeps_those_at_their_limit_and_stays_open_to_others() {
        let (table, quota) = (Table::new(1000), quota(1, 20));
        // These hundred have used up all they had; nobody else has.
        (0..100).for_each(|key| assert_eq!(passed(&table, &quota, key, SECOND, 30), 20));
        let mut forgot = 0;
        for key in 100..50_000_u32 {
            let (decision, one, _) = table.take(&Key::Value(&key.to_be_bytes()), &quota, SECOND);
            assert!(decision.passes, "{key} is locked out");
            forgot += usize::from(one);
            assert!(length(&table) <= 1001);
        }
        assert!(forgot > 0);
        (0..100).for_each(|key| assert_eq!(passed(&table, &quota, key, SECOND, 1), 0, "{key} was set free"));
    }

    #[test]
    fn keys_with_the_same_time_are_not_all_forgotten() {
        let (table, quota) = (Table::new(1600), quota(1, 2));
        (0..1600).for_each(|key| assert_eq!(passed(&table, &quota, key, SECOND, 1), 1));
        assert_eq!(passed(&table, &quota, 9999, SECOND, 1), 1);
        assert_eq!(length(&table), 1600 - 101 + 1);
    }

    #[test]
    fn what_was_counted_elsewhere_only_adds() {
        let (table, quota) = (Table::new(1000), quota(1, 2));
        let key = Key::Address("10.0.0.1".parse().unwrap());
        assert!(table.look(&key, &quota, SECOND).passes && length(&table) == 0);
        table.note(&key, 3 * SECOND, SECOND);
        let refused = table.look(&key, &quota, SECOND);
        assert_eq!((refused.passes, refused.wait), (false, Duration::from_secs(1)));
        table.note(&key, 2 * SECOND, SECOND);
        assert_eq!(table.look(&key, &quota, SECOND), refused);
        assert!(table.take(&key, &quota, 2 * SECOND).0.passes);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let (table, quota) = (Table::new(1000), quota(1, 3));
        let take = |now| table.take(&Key::One, &quota, now);
        let back = |counted, now| table.give_back(&Key::One, &quota, counted, now).remaining;
        let all: Vec<_> = (0..3).map(|_| take(SECOND)).collect();
        assert!(all.iter().all(|(decision, ..)| decision.passes) && !take(SECOND).0.passes);
        assert_eq!((back(all[1].2, SECOND), back(all[0].2, SECOND)), (1, 2));
        assert_eq!((0..4).filter(|_| take(SECOND).0.passes).count(), 2);
        // Half of it was paid, and then all.
        let later = 100 * SECOND;
        let (first, second) = (take(later).2, take(later).2);
        assert_eq!(back(first, later + SECOND / 2), 2);
        assert_eq!(back(second, later + 3 * SECOND), 3);
        assert_eq!((0..9).filter(|_| take(later + 3 * SECOND).0.passes).count(), 3);
    }

    /// Whatever is given back in between, what passed and was kept is within the limit.
    #[test]
    fn no_window_gets_more_by_what_is_given_back() {
        for hold in [1, 700_000_000, 4 * SECOND] {
            let (table, quota) = (Table::new(1000), quota(1, 2));
            let (mut now, mut kept, mut state) = (SECOND, 0_u64, 1_u64);
            let mut held = std::collections::VecDeque::new();
            for _ in 0..20_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                now += (state >> 33) % (SECOND / 2);
                while held.front().is_some_and(|(_, until)| *until <= now) {
                    let (counted, until) = held.pop_front().unwrap();
                    table.give_back(&Key::One, &quota, counted, until);
                }
                let (decision, _, counted) = table.take(&Key::One, &quota, now);
                match decision.passes {
                    true if state >> 63 == 0 => held.push_back((counted, now + hold)),
                    passes => kept += u64::from(passes),
                }
            }
            assert!(kept <= 2 + now / SECOND && kept > now / SECOND / 4, "{kept} of {}", now / SECOND);
        }
    }

    #[test]
    fn workers_count_together() {
        let (table, quota) = (Table::new(1000), quota(1, 1000));
        let count = || (0..1000).filter(|_| table.take(&Key::One, &quota, SECOND).0.passes).count();
        let passed: usize = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        assert_eq!(passed, 1000);
    }
}
