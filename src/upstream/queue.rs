//! The queue of requests that wait for an endpoint with room, first come, first served.
//! The queue cannot choose an endpoint: the request that leaves one chooses for those that
//! wait.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{Receiver, Sender, channel};

#[derive(Debug)]
pub struct Queue<W, P> {
    /// The requests that still wait.
    count: Arc<AtomicUsize>,
    /// Also requests that have given up, until [`Self::serve`] comes across them.
    waiting: Mutex<VecDeque<(W, Sender<P>)>>,
}

/// A request's place in the count, until it is dropped.
#[derive(Debug)]
pub struct QueueSlot(Arc<AtomicUsize>);

impl Drop for QueueSlot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<W, P> Default for Queue<W, P> {
    fn default() -> Self {
        Self { count: Arc::default(), waiting: Mutex::default() }
    }
}

impl<W, P> Queue<W, P> {
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether no request waits: a later one must not be served before those that do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a request; `None` when `most` wait already.
    pub fn join(&self, request: W, most: usize) -> Option<(Receiver<P>, QueueSlot)> {
        if self.count.fetch_add(1, Ordering::AcqRel) >= most {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        let counted = QueueSlot(Arc::clone(&self.count));
        let (sender, place) = channel();
        let mut waiting = self.lock();
        if waiting.len() > most * 2 {
            waiting.retain(|(_, place)| !place.is_closed());
        }
        waiting.push_back((request, sender));
        Some((place, counted))
    }

    /// Gives each waiting request what `choose` finds for it, in turn, until `choose` finds
    /// nothing. A request that waits for one endpoint, as `is_sticky` says, does not keep
    /// others from theirs.
    pub fn serve(&self, choose: impl Fn(&W) -> Option<P>, is_sticky: impl Fn(&W) -> bool) {
        if self.is_empty() {
            return;
        }
        // Dropping a pick serves the queue again, which must not happen under the lock.
        let mut left = Vec::new();
        let mut waiting = self.lock();
        let mut at = 0;
        while let Some((request, place)) = waiting.get(at) {
            if place.is_closed() {
                waiting.remove(at);
                continue;
            }
            match choose(request) {
                Some(found) => {
                    let place = waiting.remove(at).map(|(_, place)| place);
                    left.extend(place.and_then(|place| place.send(found).err()));
                }
                None if is_sticky(request) => at += 1,
                None => break,
            }
        }
        drop(waiting);
        drop(left);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(W, Sender<P>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_served_in_turn_and_left_ones_are_passed_over() {
        let queue = Queue::default();
        let (first, second) = (queue.join("a", 2).unwrap(), queue.join("b", 2).unwrap());
        assert!(queue.join("c", 2).is_none());
        drop(first);
        let (mut third, counted) = queue.join("c", 2).unwrap();
        let none_is_sticky = |_: &&str| false;
        queue.serve(|request| (*request == "b").then_some(1), none_is_sticky);
        assert_eq!((second.0.blocking_recv(), queue.len()), (Ok(1), 2));
        drop(second.1);
        assert!(third.try_recv().is_err());
        queue.serve(|_| Some(2), none_is_sticky);
        assert_eq!(third.try_recv(), Ok(2));
        drop(counted);
        assert!(queue.is_empty());
    }

    #[test]
    fn one_who_insists_stands_in_nobodys_way_and_others_keep_their_turn() {
        let queue = Queue::default();
        let (mut picky, _one) = queue.join("picky", 9).unwrap();
        let (mut first, _two) = queue.join("first", 9).unwrap();
        let (mut second, _three) = queue.join("second", 9).unwrap();
        let asked = std::cell::Cell::new(0);
        let choose = |request: &&str| {
            asked.set(asked.get() + 1);
            (*request == "first").then_some(1)
        };
        queue.serve(choose, |request| *request == "picky");
        assert!(picky.try_recv().is_err() && second.try_recv().is_err());
        assert_eq!((first.try_recv(), asked.get()), (Ok(1), 3));
    }
}
