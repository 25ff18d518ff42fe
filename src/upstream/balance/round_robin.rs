//! Smooth weighted round robin, as nginx has it: the turns of a heavy endpoint are spread,
//! not bunched. The whole cycle is worked out once; a turn is one atomic addition.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
pub struct RoundRobin {
    cycle: Vec<u32>,
    next: AtomicUsize,
}

/// The steps that the exact cycle may take; they grow with endpoints times turns.
const MAX_STEPS: u64 = 1 << 20;
/// The turns of one cycle. Weights are rounded where they would make more.
const MAX_TURNS: u64 = 1 << 16;

impl RoundRobin {
    /// One weight for each endpoint, at least 1. `position` is where to begin.
    pub fn new(weights: &[u32], position: usize) -> Self {
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let mut weights: Vec<u64> = weights.iter().map(|w| u64::from(w / divisor)).collect();
        let total: u64 = weights.iter().sum();
        if total > MAX_TURNS {
            weights.iter_mut().for_each(|w| *w = (*w * MAX_TURNS / total).max(1));
        }
        let endpoints = u64::try_from(weights.len()).unwrap_or(u64::MAX);
        let cycle = if endpoints.saturating_mul(total) <= MAX_STEPS { smooth(&weights) } else { by_due_time(&weights) };
        Self { cycle, next: AtomicUsize::new(position) }
    }

    /// The index of the endpoint whose turn it is.
    pub fn next_index(&self) -> usize {
        let index = match self.cycle.as_slice() {
            [] => 0,
            [only] => *only,
            cycle => cycle[self.next.fetch_add(1, Ordering::Relaxed) % cycle.len()],
        };
        usize::try_from(index).unwrap_or(0)
    }

    pub fn position(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }
}

/// Each turn goes to the endpoint that is owed most.
fn smooth(weights: &[u64]) -> Vec<u32> {
    let total: u64 = weights.iter().sum();
    let signed = |weight: u64| i64::try_from(weight).unwrap_or(i64::MAX);
    let mut credit = vec![0i64; weights.len()];
    let mut cycle = Vec::new();
    for _ in 0..total {
        for (credit, weight) in credit.iter_mut().zip(weights) {
            *credit += signed(*weight);
        }
        // The first of those that are owed most, so that equals take turns in file order.
        let richest = credit.iter().enumerate().max_by_key(|(i, c)| (**c, Reverse(*i)));
        if let Some((index, _)) = richest {
            credit[index] -= signed(total);
            cycle.extend(u32::try_from(index));
        }
    }
    cycle
}

/// A cycle that is nearly as smooth and quick to make for many endpoints: one of weight w is
/// due each 1/w, for the first time half of that after the start.
fn by_due_time(weights: &[u64]) -> Vec<u32> {
    const TIME_UNIT: u64 = 1 << 40;
    let mut due: BinaryHeap<Reverse<(u64, u32)>> =
        (0..).zip(weights).map(|(index, weight)| Reverse((TIME_UNIT / weight / 2, index))).collect();
    let total: u64 = weights.iter().sum();
    let mut cycle = Vec::new();
    for _ in 0..total {
        let Some(Reverse((time, index))) = due.pop() else { break };
        cycle.push(index);
        let weight = usize::try_from(index).ok().and_then(|index| weights.get(index)).copied().unwrap_or(1);
        due.push(Reverse((time + TIME_UNIT / weight, index)));
    }
    cycle
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_the_weights_smoothly() {
        let balance = RoundRobin::new(&[50, 10, 10], 0);
        let turns: Vec<usize> = (0..7).map(|_| balance.next_index()).collect();
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0]);
        let even = RoundRobin::new(&[3, 3], 0);
        assert_eq!((0..4).map(|_| even.next_index()).collect::<Vec<_>>(), [0, 1, 0, 1]);
        assert_eq!(RoundRobin::new(&[3, 3], 1).next_index(), 1);
    }

    #[test]
    fn a_thousand_odd_weights_are_quick_and_fair() {
        let weights: Vec<u32> = (0..1000).map(|i| i % 997 + 1).collect();
        let began = std::time::Instant::now();
        let balance = RoundRobin::new(&weights, 0);
        assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
        let mut turns = vec![0u32; weights.len()];
        balance.cycle.iter().for_each(|i| turns[*i as usize] += 1);
        let (heavy, light) = (f64::from(turns[996]), f64::from(turns[498]));
        assert!((heavy / light - 997.0 / 499.0).abs() < 0.1, "{heavy} {light}");
        // Spread: in no tenth of the cycle has the heaviest more than its share and one.
        let part = &balance.cycle[..balance.cycle.len() / 10];
        let here = part.iter().filter(|i| **i == 996).count() as f64;
        assert!((here - heavy / 10.0).abs() <= 1.5, "{here} of {heavy}");
    }
}
