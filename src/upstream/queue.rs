//! Requests that wait for a server with room, first come, first served. Must not know
//! how a server is chosen: whoever makes room is asked to choose for the waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot::{Receiver, Sender, channel};

#[derive(Debug)]
pub struct Queue<W, P> {
    most: usize,
    /// Of `waiting`, to be looked at without its lock.
    count: AtomicUsize,
    waiting: Mutex<VecDeque<(W, Sender<P>)>>,
}

impl<W, P> Queue<W, P> {
    pub fn new(most: usize) -> Self {
        Self { most, count: AtomicUsize::new(0), waiting: Mutex::new(VecDeque::new()) }
    }

    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether anybody waits: who comes later must not be served first.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `None` when it is full.
    pub fn join(&self, wish: W) -> Option<Receiver<P>> {
        let mut waiting = self.lock();
        // Those whose deadline has passed do not wait any more.
        waiting.retain(|(_, place)| !place.is_closed());
        let joined = (waiting.len() < self.most).then(|| {
            let (sender, place) = channel();
            waiting.push_back((wish, sender));
            place
        });
        self.count.store(waiting.len(), Ordering::Release);
        joined
    }

    /// There may be room: each who waits gets what `choose` finds, in turn.
    pub fn serve(&self, choose: impl Fn(&W) -> Option<P>) {
        if self.is_empty() {
            return;
        }
        // What a place gives back when it is dropped must not come in here again.
        let mut left = Vec::new();
        let mut waiting = self.lock();
        waiting.retain_mut(|(wish, place)| {
            if place.is_closed() {
                return false;
            }
            let Some(found) = choose(wish) else { return true };
            let (mut sender, _) = channel();
            std::mem::swap(place, &mut sender);
            left.extend(sender.send(found).err());
            false
        });
        self.count.store(waiting.len(), Ordering::Release);
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
        let queue = Queue::new(2);
        let (first, second) = (queue.join("a").unwrap(), queue.join("b").unwrap());
        assert!(queue.join("c").is_none());
        drop(first);
        let mut third = queue.join("c").unwrap();
        queue.serve(|wish| (*wish == "b").then_some(1));
        assert_eq!((second.blocking_recv(), queue.len()), (Ok(1), 1));
        assert!(third.try_recv().is_err());
        queue.serve(|_| Some(2));
        assert_eq!((third.try_recv(), queue.is_empty()), (Ok(2), true));
    }
}
