//! Choose the source for each position if several sources are mixed by weight.
//!
//! Each period of 4,096 positions gives every source a fixed number of slots. So weights hold exactly, and a source's
//! own position can be computed without counting earlier positions.

use super::order::{Permutation, Stream};
use crate::error::{Error, Result};

/// Positions per period; in each period every source gets its full share.
pub const PERIOD_SLOTS: u64 = 4_096;

/// Sources and their slots in each period.
#[derive(Clone, Debug)]
pub struct Mixture {
    slots: Vec<u32>,
    first_slot: Vec<u64>,
    seed: u64,
}

impl Mixture {
    /// Give all positions to one source.
    pub fn single() -> Self {
        Self { slots: vec![PERIOD_SLOTS as u32], first_slot: vec![0], seed: 0 }
    }

    /// Assign slots in proportion to `weights`, rounded by largest remainder. `seed` permutes the slots differently in
    /// each period.
    pub fn weighted(weights: &[f64], seed: u64) -> Result<Self> {
        let slots = largest_remainder(weights)?;
        let first_slot = slots
            .iter()
            .scan(0, |next, &count| {
                let first = *next;
                *next += u64::from(count);
                Some(first)
            })
            .collect();
        Ok(Self { slots, first_slot, seed })
    }

    /// Return the source at `position`, and the position within that source.
    pub fn locate(&self, position: u64) -> (usize, u64) {
        if self.slots.len() == 1 {
            return (0, position);
        }
        let (period, slot) = (position / PERIOD_SLOTS, position % PERIOD_SLOTS);
        let slot = Permutation::new(PERIOD_SLOTS, self.seed, Stream::Mixture, period).at(slot);
        let source = self.first_slot.partition_point(|&first| first <= slot) - 1;
        (source, period * u64::from(self.slots[source]) + slot - self.first_slot[source])
    }

    /// Return how many of the first `positions` positions each source has.
    pub fn drawn(&self, positions: u64) -> Vec<u64> {
        let (periods, rest) = (positions / PERIOD_SLOTS, positions % PERIOD_SLOTS);
        let mut drawn: Vec<u64> = self.slots.iter().map(|&count| periods * u64::from(count)).collect();
        for position in positions - rest..positions {
            drawn[self.locate(position).0] += 1;
        }
        drawn
    }

    /// Return the slots of each source in a period of 4,096. The order depends on them.
    pub fn slots(&self) -> &[u32] {
        &self.slots
    }
}

fn largest_remainder(weights: &[f64]) -> Result<Vec<u32>> {
    let refuse = |expected: &str| {
        Err(Error::Argument { name: "weights", got: format!("{weights:?}"), expected: expected.to_owned() })
    };
    let sum: f64 = weights.iter().sum();
    if weights.is_empty() || !weights.iter().all(|&weight| weight > 0.0) || !sum.is_finite() {
        return refuse("one positive, finite number for each source");
    }
    let shares: Vec<f64> = weights.iter().map(|weight| weight / sum * PERIOD_SLOTS as f64).collect();
    #[allow(clippy::cast_sign_loss, reason = "shares are positive")]
    let mut slots: Vec<u32> = shares.iter().map(|share| share.floor() as u32).collect();
    let mut by_remainder: Vec<usize> = (0..shares.len()).collect();
    by_remainder.sort_by(|&a, &b| shares[b].fract().total_cmp(&shares[a].fract()));
    let left = (PERIOD_SLOTS as u32).saturating_sub(slots.iter().sum());
    by_remainder.iter().take(left as usize).for_each(|&source| slots[source] += 1);
    if slots.contains(&0) || slots.iter().sum::<u32>() != PERIOD_SLOTS as u32 {
        return refuse("weights of at least 1/4096 of their sum");
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shares_are_exact_in_every_period() {
        let mixture = Mixture::weighted(&[0.5, 0.2, 0.3], 9).unwrap();
        assert_eq!(mixture.slots(), [2_048, 819, 1_229]);
        for period in 1..4 {
            let expected: Vec<u64> = mixture.slots().iter().map(|&count| period * u64::from(count)).collect();
            assert_eq!(mixture.drawn(period * PERIOD_SLOTS), expected);
        }
    }

    #[test]
    fn each_source_hands_out_each_of_its_positions_once() {
        let mixture = Mixture::weighted(&[1.0, 2.0, 1.0], 9).unwrap();
        let mut seen = vec![Vec::new(); 3];
        for position in 0..3 * PERIOD_SLOTS {
            let (source, at) = mixture.locate(position);
            seen[source].push(at);
        }
        for mut positions in seen {
            positions.sort_unstable();
            assert!(positions.iter().enumerate().all(|(i, &at)| at == i as u64));
        }
    }

    #[test]
    fn drawn_agrees_with_counting() {
        let mixture = Mixture::weighted(&[1.0, 2.0], 1).unwrap();
        let count = (0..5_000).filter(|&position| mixture.locate(position).0 == 1).count() as u64;
        assert_eq!(mixture.drawn(5_000), [5_000 - count, count]);
    }

    #[test]
    fn weights_that_cannot_be_kept_are_refused() {
        for weights in [&[][..], &[0.0, 1.0], &[-1.0, 2.0], &[f64::NAN], &[f64::INFINITY, 1.0], &[1e-9, 1.0]] {
            Mixture::weighted(weights, 0).unwrap_err();
        }
    }
}
