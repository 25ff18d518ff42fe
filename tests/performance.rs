//! The parts of the comparison (`make bench`) that have no need of a proxy.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

#[path = "../benches/compare/statistics.rs"]
mod statistics;

use statistics::{Spread, percentile, ratios};

#[test]
fn the_median_of_an_even_number_lies_between_two() {
    assert_eq!(Spread::of(&[4.0, 1.0, 3.0, 2.0]), Some(Spread { min: 1.0, median: 2.5, max: 4.0 }));
    assert_eq!(Spread::of(&[3.0, 9.0, 1.0]).unwrap().median, 3.0);
    assert_eq!(Spread::of(&[]), None);
}

#[test]
fn ratios_are_taken_round_by_round() {
    // A machine that was half as fast in the second round.
    let ratio = ratios(&[10.0, 20.0, 12.0], &[5.0, 10.0, 6.0]).unwrap();
    assert_eq!((ratio.min, ratio.median, ratio.max), (2.0, 2.0, 2.0));
    assert_eq!(ratios(&[1.0], &[0.0]), None);
}

#[test]
fn a_percentile_is_a_value_that_was_measured() {
    let sorted: Vec<u32> = (1..=1000).collect();
    assert_eq!((percentile(&sorted, 0.5), percentile(&sorted, 0.99), percentile(&sorted, 0.999)), (500, 990, 999));
    assert_eq!((percentile(&[7], 0.999), percentile(&[], 0.5)), (7, 0));
}

/// The last line is what `make instructions` compares with; each has its reason.
#[test]
fn every_accepted_instruction_count_has_a_reason() {
    let kept = include_str!("../benches/instructions.txt");
    let lines: Vec<Vec<&str>> =
        kept.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_whitespace().collect()).collect();
    assert!(!lines.is_empty());
    for line in lines {
        assert!(line.len() > 5 && line[0] == "silent" && line[2] == "logged", "{line:?}");
        assert!(line[1].parse::<u64>().is_ok() && line[3].parse::<u64>().is_ok(), "{line:?}");
    }
}
