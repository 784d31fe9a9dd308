//! Reliability row 3: a bijection at every size, golden values, different orders for different keys, no serial
//! correlation.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const SOURCE: Stream = Stream::Samples(0);

/// Values of another implementation, written from docs/formats.md alone; they must never change.
#[test]
fn golden_values() {
    let first = |n: u64, seed, stream, number| -> Vec<u64> {
        let order = Permutation::new(n, seed, stream, number);
        (0..n.min(10)).map(|position| order.at(position)).collect()
    };
    assert_eq!(first(10, 0, SOURCE, 0), [6, 9, 4, 7, 3, 1, 0, 8, 5, 2]);
    assert_eq!(first(10, 0, SOURCE, 1), [7, 0, 4, 6, 3, 8, 5, 1, 9, 2]);
    assert_eq!(first(10, 1, SOURCE, 0), [5, 7, 1, 2, 8, 3, 9, 0, 6, 4]);
    assert_eq!(first(10, 0, Stream::Samples(1), 0), [3, 2, 6, 5, 0, 7, 9, 8, 4, 1]);
    assert_eq!(first(4_096, 42, Stream::Mixture, 3), [3734, 1301, 3302, 3680, 3177, 3123, 3750, 2506, 1835, 227]);
    assert_eq!(first(1_000, 7, Stream::Documents, 0), [503, 859, 947, 740, 334, 234, 204, 316, 834, 718]);
    assert_eq!(
        first((1 << 40) - 87, u64::MAX, SOURCE, 5)[..4],
        [1_069_681_047_814, 1_023_243_951_125, 571_190_635_571, 761_339_740_245]
    );
    assert_eq!(first(1, 5, SOURCE, 0), [0]);
    assert_eq!(first(2, 5, SOURCE, 0), [1, 0]);
}

#[test]
fn a_bijection_for_every_small_n() {
    let mut seen = Vec::new();
    for n in 1..=4_096 {
        seen.clear();
        seen.resize(n as usize, false);
        let order = Permutation::new(n, n + 77, SOURCE, n);
        for position in 0..n {
            assert!(!std::mem::replace(&mut seen[order.at(position) as usize], true), "n {n}, position {position}");
        }
    }
}

/// The inverse network: if it exists for every value, `at` is a bijection.
fn position_of(order: &Permutation, value: u64) -> u64 {
    let mut value = value;
    loop {
        let end = (value >> order.half_bits, value & order.half_mask);
        let (left, right) = order
            .round_keys
            .iter()
            .rev()
            .fold(end, |(left, right), key| (right ^ (mix(left ^ key) & order.half_mask), left));
        value = (left << order.half_bits) | right;
        if value < order.n {
            return value;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_bijection_for_large_n(n in 1_u64..1 << 40, seed: u64, epoch: u64, points in prop::collection::vec(any::<u64>(), 50)) {
        let order = Permutation::new(n, seed, SOURCE, epoch);
        for position in points.into_iter().map(|point| point % n) {
            let sample = order.at(position);
            prop_assert!(sample < n);
            prop_assert_eq!(position_of(&order, sample), position);
        }
    }
}

#[test]
fn the_largest_n_works() {
    let order = Permutation::new(1 << 62, 3, SOURCE, 0);
    assert_eq!(position_of(&order, order.at((1 << 62) - 1)), (1 << 62) - 1);
}

#[test]
fn no_two_seeds_and_epochs_give_the_same_order() {
    let orders: HashSet<Vec<u64>> = (0..100)
        .flat_map(|seed| (0..100).map(move |epoch| Permutation::new(1 << 20, seed, SOURCE, epoch)))
        .map(|order| (0..4).map(|position| order.at(position)).collect())
        .collect();
    assert_eq!(orders.len(), 100 * 100);
}

#[test]
fn neighbours_do_not_follow_each_other() {
    for (n, seed) in [(1_000_003_u64, 0), (65_536, 1), (300_000, 2)] {
        let order = Permutation::new(n, seed, SOURCE, 0);
        let centred = |position| order.at(position) as f64 - (n - 1) as f64 / 2.0;
        let covariance = (1..n).map(|position| centred(position - 1) * centred(position)).sum::<f64>();
        let z = covariance / (n as f64).powi(3) * 12.0 * (n as f64).sqrt();
        assert!(z.abs() < 3.0, "n {n}: z is {z}");
    }
}
