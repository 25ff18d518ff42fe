//! Cells of which each thread has its own, so that counting on one core never waits for another.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{LazyLock, OnceLock};

/// More would make a scrape slow and gain nothing: two threads that share a cell still take no lock.
const MOST: usize = 16;

/// One for each core.
static COUNT: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).clamp(1, MOST));

thread_local! {
    /// The shard of this thread; `usize::MAX` before it first counts.
    static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The shard that this thread counts in. Threads take turns, so that workers, which are started one
/// after the other, have one each.
fn own() -> usize {
    match OWN.get() {
        usize::MAX => first_time(),
        own => own,
    }
}

#[cold]
fn first_time() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let own = NEXT.fetch_add(1, Ordering::Relaxed) % *COUNT;
    OWN.set(own);
    own
}

/// Keeps the cells of two threads out of one line of the cache, and of the next one that the processor
/// fetches along with it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line<T>(T);

/// A `T` for each shard, made when a thread first counts in it.
#[derive(Debug)]
pub struct Sharded<T>(Box<[OnceLock<Box<Line<T>>>]>);

impl<T> Default for Sharded<T> {
    fn default() -> Self {
        Self((0..*COUNT).map(|_| OnceLock::new()).collect())
    }
}

impl<T: Default> Sharded<T> {
    /// The cells of this thread.
    pub fn own(&self) -> &T {
        // There are as many as `own` counts.
        &self.0[own()].get_or_init(Box::default).0
    }
}

impl<T> Sharded<T> {
    /// The cells of all threads that have counted.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().filter_map(|shard| shard.get().map(|line| &line.0))
    }
}

/// A count of what happens often.
#[derive(Debug, Default)]
pub struct Counter(Sharded<AtomicU64>);

impl Counter {
    pub fn increment(&self) {
        self.0.own().fetch_add(1, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.iter().map(|cell| cell.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_lose_nothing() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..1000).for_each(|_| counter.increment()));
            }
        });
        assert_eq!(counter.get(), 20_000);
    }

    #[test]
    fn nothing_is_made_for_threads_that_count_nothing() {
        let counter = Counter::default();
        assert_eq!((counter.get(), counter.0.iter().count()), (0, 0));
        counter.increment();
        assert_eq!(counter.0.iter().count(), 1);
    }
}
