//! How evenly servers are chosen, and what moves when one leaves.

use super::super::load::{Load, LoadCounters};
use super::*;
use crate::config::KeySource;
use crate::message::hash::hash;

fn loads(count: usize) -> Vec<Load> {
    let mut counters = LoadCounters::default();
    (0..count).map(|_| counters.counter()).collect()
}

fn balancer(balance: &Balance, loads: &[Load], names: &[String], weights: &[u32]) -> Balancer {
    let endpoints: Vec<WeightedEndpoint<'_>> = loads
        .iter()
        .zip(names)
        .zip(weights)
        .map(|((load, name), weight)| WeightedEndpoint { weight: *weight, load, name })
        .collect();
    Balancer::new(balance, &endpoints, 0)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("10.0.0.{i}:80")).collect()
}

#[test]
fn when_one_of_ten_leaves_a_tenth_of_the_keys_moves() {
    let (loads, names) = (loads(10), names(10));
    let balance = Balance::Hash(KeySource::Path);
    let before = balancer(&balance, &loads, &names, &[1; 10]);
    let keys: Vec<u64> = (0..100_000).map(|i| hash(format!("user-{i}").as_bytes())).collect();
    for gone in 0..10 {
        let (mut fewer_loads, mut fewer_names) = (loads.clone(), names.clone());
        fewer_loads.remove(gone);
        fewer_names.remove(gone);
        let after = balancer(&balance, &fewer_loads, &fewer_names, &[1; 9]);
        let endpoint =
            |balancer: &Balancer, names: &[String], key| names[balancer.choose(Some(key), |_| true).unwrap()].clone();
        let moved = keys.iter().filter(|key| endpoint(&before, &names, **key) != endpoint(&after, &fewer_names, **key));
        let moved = moved.count();
        assert!(moved <= 15_000, "{moved} of 100,000 moved when {gone} left");
    }
}

#[test]
fn a_server_that_may_not_loses_only_its_own_keys() {
    let (loads, names) = (loads(10), names(10));
    let ring = balancer(&Balance::Hash(KeySource::Path), &loads, &names, &[1; 10]);
    for key in (0..10_000u32).map(|i| hash(&i.to_le_bytes())) {
        let first = ring.choose(Some(key), |_| true).unwrap();
        let other = ring.choose(Some(key), |i| i != 3).unwrap();
        assert!(other != 3 && (first == 3 || other == first));
    }
}

#[test]
fn weights_are_kept_by_all() {
    let (loads, names) = (loads(3), names(3));
    let weights = [1, 2, 5];
    for balance in [Balance::RoundRobin, Balance::Random, Balance::Hash(KeySource::Path)] {
        let balancer = balancer(&balance, &loads, &names, &weights);
        let mut turns = [0u32; 3];
        for i in 0..80_000u32 {
            turns[balancer.choose(Some(hash(&i.to_le_bytes())), |_| true).unwrap()] += 1;
        }
        for (turns, weight) in turns.iter().zip(weights) {
            let share = f64::from(*turns) / f64::from(10_000 * weight);
            assert!((0.8..1.25).contains(&share), "{balance:?}: {turns} turns for weight {weight}");
        }
    }
}

/// Three endpoints of which one takes ten times as long, 30 clients that ask on and on.
/// Returns the share of the requests that went to the slow one.
fn share_of_slow(balance: &Balance) -> f64 {
    let (loads, names) = (loads(3), names(3));
    let balancer = balancer(balance, &loads, &names, &[1; 3]);
    let mut busy: std::collections::BTreeSet<(u64, u64)> = std::collections::BTreeSet::new();
    let mut at = std::collections::HashMap::new();
    let mut served = [0u32; 3];
    let mut now = 0;
    for request in 0..60_000u64 {
        if busy.len() == 30 {
            let (time, done) = busy.pop_first().unwrap();
            now = time;
            let endpoint: usize = at.remove(&done).unwrap();
            loads[endpoint].remove();
            served[endpoint] += 1;
        }
        let endpoint = balancer.choose(None, |_| true).unwrap();
        loads[endpoint].add();
        at.insert(request, endpoint);
        let takes = if endpoint == 0 { 10_000 } else { 1_000 } + request % 7;
        busy.insert((now + takes, request));
    }
    f64::from(served[0]) / f64::from(served.iter().sum::<u32>())
}

#[test]
fn a_slow_server_gets_less_by_load_and_as_much_by_turns() {
    let (turns, least, p2c) =
        (share_of_slow(&Balance::RoundRobin), share_of_slow(&Balance::LeastConn), share_of_slow(&Balance::P2c));
    assert!((0.3..0.36).contains(&turns), "round_robin {turns:.3}");
    // Ideal is what it can do: 1 of 21.
    assert!(least < 0.07, "least_conn {least:.3}");
    assert!(p2c < 0.12, "p2c {p2c:.3}");
}

#[test]
fn equals_are_chosen_equally_often_whoever_stands_beside_them() {
    let (loads, names) = (loads(3), names(3));
    let balancer = balancer(&Balance::LeastConn, &loads, &names, &[1; 3]);
    loads[0].add();
    let second = (0..3000).filter(|_| balancer.choose(None, |_| true) == Some(1)).count();
    assert!((1300..1700).contains(&second), "{second} of 3000");
    // Nobody is busy: by weight.
    let idle = self::loads(3);
    for balance in [Balance::LeastConn, Balance::P2c] {
        let balancer = self::balancer(&balance, &idle, &names, &[1, 1, 2]);
        let heavy = (0..4000).filter(|_| balancer.choose(None, |_| true) == Some(2)).count();
        assert!((1500..2500).contains(&heavy), "{balance:?}: {heavy} of 4000");
    }
}

#[test]
fn one_that_may_not_is_never_chosen() {
    let (loads, names) = (loads(4), names(4));
    for balance in
        [Balance::RoundRobin, Balance::LeastConn, Balance::P2c, Balance::Random, Balance::Hash(KeySource::Path)]
    {
        let balancer = balancer(&balance, &loads, &names, &[1; 4]);
        for i in 0..200u32 {
            let hash = (i % 2 == 0).then(|| hash(&i.to_le_bytes()));
            assert!(balancer.choose(hash, |i| i == 2).is_none_or(|i| i == 2));
        }
        assert_eq!(balancer.choose(Some(1), |_| false), None);
    }
}
