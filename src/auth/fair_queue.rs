//! A queue in which everybody has his turn: whoever has many waiting makes the others wait no longer.

use std::collections::VecDeque;

#[derive(Debug)]
pub struct FairQueue<K, T> {
    /// What waits of each, in the order of their turns; of nobody there is nothing.
    turns: VecDeque<(K, VecDeque<T>)>,
    len: usize,
    most: usize,
}

impl<K: PartialEq, T> FairQueue<K, T> {
    /// At most so many wait.
    pub fn new(most: usize) -> Self {
        Self { turns: VecDeque::new(), len: 0, most }
    }

    /// Where the queue is full, the last one of whoever has most gives its place, unless that is no other:
    /// then this one has none.
    pub fn push(&mut self, of: K, one: T) -> Result<(), T> {
        let own = self.turns.iter().find(|(key, _)| *key == of).map_or(0, |(_, waiting)| waiting.len());
        if self.len >= self.most {
            let most = self.turns.iter_mut().map(|(_, waiting)| waiting).max_by_key(|waiting| waiting.len());
            match most.filter(|waiting| waiting.len() > own + 1).and_then(VecDeque::pop_back) {
                Some(_) => self.len -= 1,
                None => return Err(one),
            }
        }
        self.len += 1;
        match self.turns.iter_mut().find(|(key, _)| *key == of) {
            Some((_, waiting)) => waiting.push_back(one),
            None => self.turns.push_back((of, VecDeque::from([one]))),
        }
        Ok(())
    }

    pub fn pop(&mut self) -> Option<T> {
        let (of, mut waiting) = self.turns.pop_front()?;
        let one = waiting.pop_front()?;
        self.len -= 1;
        if !waiting.is_empty() {
            self.turns.push_back((of, waiting));
        }
        Some(one)
    }

    /// Only those go on waiting.
    pub fn retain(&mut self, mut stays: impl FnMut(&T) -> bool) {
        self.turns.iter_mut().for_each(|(_, waiting)| waiting.retain(&mut stays));
        self.turns.retain(|(_, waiting)| !waiting.is_empty());
        self.len = self.turns.iter().map(|(_, waiting)| waiting.len()).sum();
    }

    pub fn is_full(&self) -> bool {
        self.len >= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_many_waiting_delays_nobody_else_and_gives_places() {
        let mut queue = FairQueue::new(4);
        for one in 1..=4 {
            assert_eq!(queue.push("flood", one), Ok(()));
        }
        assert_eq!(queue.push("flood", 5), Err(5));
        assert_eq!(queue.push("ann", 10), Ok(()), "the last of the flood gives its place");
        assert_eq!(queue.push("bob", 20), Ok(()));
        assert_eq!(queue.push("ann", 11), Err(11), "nobody has more than one more than she");
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [1, 10, 20, 2]);
        assert_eq!((queue.pop(), queue.is_full()), (None, false));
    }

    #[test]
    fn what_leaves_makes_room() {
        let mut queue = FairQueue::new(2);
        assert_eq!((queue.push("a", 1), queue.push("b", 2)), (Ok(()), Ok(())));
        assert!(queue.is_full());
        queue.retain(|one| *one != 1);
        assert_eq!((queue.push("a", 3), queue.pop(), queue.pop(), queue.pop()), (Ok(()), Some(2), Some(3), None));
    }
}
