//! Messages that come again and again, as a hostile peer can have them: the same one is written once
//! a second, with how often it came; those that differ only in a number, such as a port, are bounded
//! for each place in the program that writes them. What is held back is told within about two seconds.
//!
//! Both are remembered in tables of a fixed size. Who falls out of one is told of at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::Level;

use super::line::{Line, More};

/// How long a message is not written again.
const WINDOW: Duration = Duration::from_secs(1);
/// How many messages one place writes at once, and then each second.
const BURST: u32 = 50;
const PER_SECOND: u32 = 5;
const MESSAGES: usize = 256;
const PLACES: usize = 256;
/// How the lines begin that say what an operator has changed.
pub const AUDIT: &str = "audit: ";
/// What is remembered of a message that is held back.
const KEPT: usize = 1024;

/// Where in the program a message comes from.
pub type Place<'p> = (Option<&'p str>, Option<u32>);

#[derive(Debug, Default)]
pub struct Repeats {
    tables: Mutex<Tables>,
    /// Whether something is held back that was not told of yet.
    holds: AtomicBool,
}

#[derive(Debug)]
struct Tables {
    messages: Vec<Option<Said>>,
    places: Vec<Option<Bucket>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self { messages: vec![None; MESSAGES], places: vec![None; PLACES] }
    }
}

/// A message that was written.
#[derive(Clone, Debug)]
struct Said {
    key: u64,
    at: Instant,
    held: Option<Held>,
}

/// What one place may still write.
#[derive(Clone, Debug)]
struct Bucket {
    key: u64,
    left: u32,
    filled: Instant,
    since: Instant,
    held: Option<Held>,
}

/// A message that is held back, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    level: Level,
    target: String,
    message: String,
    more: More,
}

impl Held {
    fn new(line: &Line<'_>, more: More) -> Self {
        Self { level: line.level, target: line.target.to_owned(), message: kept(line.message), more }
    }

    pub fn line(&self) -> Line<'_> {
        // The one that is shown is not one of the others.
        let more = match self.more {
            More::Similar(1) => None,
            More::Similar(count) => Some(More::Similar(count - 1)),
            More::Repeated(_) => Some(self.more),
        };
        Line { level: self.level, target: &self.target, message: &self.message, more }
    }

    fn count(&mut self) {
        match &mut self.more {
            More::Repeated(count) | More::Similar(count) => *count += 1,
        }
    }
}

fn kept(message: &str) -> String {
    match message.char_indices().nth(KEPT) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or(message)),
        None => message.to_owned(),
    }
}

static HELD_BACK: AtomicU64 = AtomicU64::new(0);

/// The number of messages that were counted instead of written, since the process began.
pub fn held_back_messages() -> u64 {
    HELD_BACK.load(Ordering::Relaxed)
}

#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is written, behind those that it displaced from the tables.
    Write(Vec<Held>),
    /// It is told of later; the first one of all has the writer look after it.
    HoldBack { is_first: bool },
}

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages for who looks for a fault are all written.
    pub fn look(&self, line: &Line<'_>, place: Place<'_>, now: Instant) -> Verdict {
        if line.level > Level::Info {
            return Verdict::Write(Vec::new());
        }
        let mut displaced = Vec::new();
        let mut tables = self.lock();
        if tables.hold_repeated(line, now, &mut displaced) || tables.hold_similar(line, place, now, &mut displaced) {
            drop(tables);
            HELD_BACK.fetch_add(1, Ordering::Relaxed);
            return Verdict::HoldBack { is_first: !self.holds.swap(true, Ordering::AcqRel) };
        }
        tables.said(line, now, &mut displaced);
        Verdict::Write(displaced)
    }

    /// What is to be told now, and whether there is more for later.
    pub fn due(&self, now: Instant, all: bool) -> (Vec<Held>, bool) {
        if !self.holds.load(Ordering::Acquire) {
            return (Vec::new(), false);
        }
        let mut tables = self.lock();
        let mut due = Vec::new();
        let is_due = |since: Instant| all || now.saturating_duration_since(since) >= WINDOW;
        for said in tables.messages.iter_mut().flatten().filter(|said| is_due(said.at)) {
            if let Some(held) = said.held.take() {
                (said.at, _) = (now, due.push(held));
            }
        }
        for bucket in tables.places.iter_mut().flatten().filter(|bucket| is_due(bucket.since)) {
            due.extend(bucket.held.take());
        }
        let are_more = tables.messages.iter().flatten().any(|said| said.held.is_some())
            || tables.places.iter().flatten().any(|bucket| bucket.held.is_some());
        self.holds.store(are_more, Ordering::Release);
        (due, are_more)
    }
}

impl Tables {
    /// Whether the message was written just now.
    fn hold_repeated(&mut self, line: &Line<'_>, now: Instant, displaced: &mut Vec<Held>) -> bool {
        // Each change has its line and its time.
        if line.message.starts_with(AUDIT) {
            return false;
        }
        let key = hash(line);
        let Some(said) = slot(&mut self.messages, key).and_then(|slot| slot.as_mut()).filter(|said| said.key == key)
        else {
            return false;
        };
        if now.saturating_duration_since(said.at) >= WINDOW {
            displaced.extend(said.held.take());
            return false;
        }
        match &mut said.held {
            Some(held) => held.count(),
            None => said.held = Some(Held::new(line, More::Repeated(1))),
        }
        true
    }

    /// Whether the place has written enough.
    fn hold_similar(&mut self, line: &Line<'_>, place: Place<'_>, now: Instant, displaced: &mut Vec<Held>) -> bool {
        // What the operator has done is said in any case.
        if line.level > Level::Warn {
            return false;
        }
        let key = hash(&(place, line.level));
        let Some(slot) = slot(&mut self.places, key) else { return false };
        if slot.as_ref().is_none_or(|bucket| bucket.key != key) {
            displaced.extend(slot.take().and_then(|bucket| bucket.held));
        }
        let bucket = slot.get_or_insert(Bucket { key, left: BURST, filled: now, since: now, held: None });
        let seconds = now.saturating_duration_since(bucket.filled).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(u32::MAX).saturating_mul(PER_SECOND);
            (bucket.left, bucket.filled) = (bucket.left.saturating_add(more).min(BURST), now);
        }
        if bucket.left > 0 {
            bucket.left -= 1;
            return false;
        }
        match &mut bucket.held {
            Some(held) => held.count(),
            None => {
                bucket.held = Some(Held::new(line, More::Similar(1)));
                bucket.since = now;
            }
        }
        true
    }

    fn said(&mut self, line: &Line<'_>, now: Instant, displaced: &mut Vec<Held>) {
        let key = hash(line);
        if let Some(slot) = slot(&mut self.messages, key) {
            displaced.extend(slot.replace(Said { key, at: now, held: None }).and_then(|said| said.held));
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn slot<T>(table: &mut [Option<T>], key: u64) -> Option<&mut Option<T>> {
    let index = key % u64::try_from(table.len().max(1)).unwrap_or(1);
    table.get_mut(usize::try_from(index).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: &str) -> Line<'_> {
        Line { level: Level::Warn, target: "upstream", message, more: None }
    }

    const HERE: Place<'static> = (Some("here"), Some(1));

    fn written(verdict: &Verdict) -> bool {
        matches!(verdict, Verdict::Write(_))
    }

    #[test]
    fn the_same_message_is_written_once_a_second_and_counted() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(repeats.look(&line("a"), HERE, at(0)), Verdict::Write(Vec::new()));
        assert_eq!(repeats.look(&line("a"), HERE, at(1)), Verdict::HoldBack { is_first: true });
        for _ in 0..411 {
            assert_eq!(repeats.look(&line("a"), HERE, at(900)), Verdict::HoldBack { is_first: false });
        }
        assert!(written(&repeats.look(&Line { level: Level::Error, ..line("a") }, HERE, at(900))));
        assert_eq!(repeats.due(at(900), false), (Vec::new(), true));
        // It never comes again, and is told of all the same.
        let (due, are_more) = repeats.due(at(1000), false);
        assert_eq!((due[0].line(), are_more), (Line { more: Some(More::Repeated(412)), ..line("a") }, false));
        assert!(!written(&repeats.look(&line("a"), HERE, at(1500))));
        assert_eq!(repeats.due(at(1500), true).0.len(), 1);
        assert_eq!(repeats.look(&line("a"), HERE, at(3000)), Verdict::Write(Vec::new()));
    }

    #[test]
    fn messages_that_differ_in_a_number_are_bounded_for_each_place() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        let count = |from: u32, at: Instant, place| {
            let lines = (from..from + 1000).map(|port| repeats.look(&line(&format!("port {port}")), place, at));
            lines.filter(written).count()
        };
        assert_eq!(count(0, start, HERE), 50);
        assert_eq!(count(2000, start, (Some("there"), Some(1))), 50);
        assert_eq!(count(4000, start + Duration::from_secs(1), HERE), 5);
        let (due, are_more) = repeats.due(start + Duration::from_secs(2), false);
        assert!(!are_more && due.len() == 2, "{due:?}");
        let lines: Vec<_> = due.iter().map(Held::line).collect();
        assert!(lines.contains(&Line { more: Some(More::Similar(949)), ..line("port 2050") }), "{lines:?}");
        assert!(lines.contains(&Line { more: Some(More::Similar(1944)), ..line("port 50") }), "{lines:?}");
        // Neither what an operator has done nor what is asked for to find a fault is held back.
        for level in [Level::Info, Level::Debug] {
            let said = |n: u32| repeats.look(&Line { level, ..line(&format!("did {n}")) }, HERE, start);
            assert!((0..200).all(|n| written(&said(n))));
        }
        assert!((0..3).all(|_| written(&repeats.look(&Line { level: Level::Debug, ..line("x") }, HERE, start))));
    }

    #[test]
    fn who_falls_out_of_a_table_is_told_of() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        let said = |n: u32| Line { level: Level::Info, ..line("") }.message.to_owned() + &n.to_string();
        let mut told = 0;
        for n in 0..2_000 {
            let text = said(n);
            let info = Line { level: Level::Info, ..line(&text) };
            if let Verdict::Write(displaced) = repeats.look(&info, HERE, now) {
                told += displaced.len();
            }
            assert!(!written(&repeats.look(&info, HERE, now)));
        }
        let (due, _) = repeats.due(now, true);
        assert_eq!(told + due.len(), 2_000);
        assert!(due.len() <= MESSAGES);
    }
}
