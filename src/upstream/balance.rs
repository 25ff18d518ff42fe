//! Weighted round robin, smooth: the turns of a heavy server are spread, not
//! bunched. The whole cycle is worked out once; a pick is one atomic addition.

use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub struct RoundRobin {
    cycle: Vec<usize>,
    next: AtomicUsize,
}

impl RoundRobin {
    /// One weight per server, each at least 1.
    pub fn new(weights: &[u32]) -> Self {
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let weights: Vec<i64> = weights.iter().map(|w| i64::from(w / divisor)).collect();
        let total: i64 = weights.iter().sum();
        let mut credit = vec![0i64; weights.len()];
        let mut cycle = Vec::new();
        for _ in 0..total {
            for (credit, weight) in credit.iter_mut().zip(&weights) {
                *credit += weight;
            }
            // The first of the richest, so that equal servers take turns in file order.
            let richest = credit.iter().enumerate().max_by_key(|(i, c)| (**c, std::cmp::Reverse(*i)));
            if let Some((index, _)) = richest {
                credit[index] -= total;
                cycle.push(index);
            }
        }
        Self { cycle, next: AtomicUsize::new(0) }
    }

    /// Whose turn it is.
    pub fn pick(&self) -> usize {
        match self.cycle.as_slice() {
            [] => 0,
            [only] => *only,
            cycle => cycle[self.next.fetch_add(1, Ordering::Relaxed) % cycle.len()],
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_the_weights_smoothly() {
        let balance = RoundRobin::new(&[50, 10, 10]);
        let turns: Vec<usize> = (0..7).map(|_| balance.pick()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
        let even = RoundRobin::new(&[3, 3]);
        assert_eq!((0..4).map(|_| even.pick()).collect::<Vec<_>>(), [0, 1, 0, 1]);
    }
}
