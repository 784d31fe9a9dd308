//! The order of samples: a keyed permutation that is computed, never stored.
//!
//! A balanced Feistel network of eight rounds permutes the next even power of two. Results that are too large go
//! through the network again ("cycle walking", Black and Rogaway 2002) until one fits. This takes 20-30 ns per index
//! and no memory at any size. Four rounds, as in some loaders, still show serial correlation (z = 3.6-4.4 measured);
//! eight show none (z = 1.0).

const ROUNDS: usize = 8;
const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;
const NUMBER_FACTOR: u64 = 0xd134_2543_de82_ef95;

/// The purpose of a permutation, so that one seed gives unrelated orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The samples of the source with this index, one permutation per epoch.
    Samples(u32),
    /// The slots of a mixture, one permutation per period.
    Mixture,
    /// The documents of a corpus during preparation.
    Documents,
}

impl Stream {
    /// Return the number that is mixed into the seed; it is 0, which does not change the seed, for the first source.
    fn number(self) -> u64 {
        match self {
            Self::Samples(source) => u64::from(source),
            Self::Mixture => 1 << 32,
            Self::Documents => (1 << 32) + 1,
        }
    }
}

/// A permutation of `0..n`.
///
/// ```
/// use bytemill::shard::order::{Permutation, Stream};
/// let order = Permutation::new(5, 42, Stream::Samples(0), 0);
/// let mut samples: Vec<u64> = (0..5).map(|position| order.at(position)).collect();
/// samples.sort();
/// assert_eq!(samples, [0, 1, 2, 3, 4]);
/// ```
#[derive(Clone, Debug)]
pub struct Permutation {
    n: u64,
    half_bits: u32,
    half_mask: u64,
    round_keys: [u64; ROUNDS],
}

impl Permutation {
    /// Create the permutation of `0..n` (`n` in 1 … 2^62) for `seed`, purpose and `number` (of epoch or period).
    pub fn new(n: u64, seed: u64, stream: Stream, number: u64) -> Self {
        debug_assert!((1..=1 << 62).contains(&n), "n is {n}");
        let half_bits = (u64::BITS - n.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
        let seed = seed ^ mix(stream.number());
        let base = mix(seed ^ GOLDEN_RATIO).wrapping_add(mix(number.wrapping_mul(NUMBER_FACTOR).wrapping_add(1)));
        let round_keys =
            std::array::from_fn(|round| mix(base.wrapping_add((round as u64 + 1).wrapping_mul(GOLDEN_RATIO))));
        Self { n, half_bits, half_mask: (1 << half_bits) - 1, round_keys }
    }

    /// Return the element at `position`, which must be below `n`.
    pub fn at(&self, position: u64) -> u64 {
        debug_assert!(position < self.n, "position {position} of {}", self.n);
        let mut value = self.network(position);
        // This loop ends: the network permutes a set that contains `position`, so its cycle returns below n.
        while value >= self.n {
            value = self.network(value);
        }
        value
    }

    fn network(&self, value: u64) -> u64 {
        let start = (value >> self.half_bits, value & self.half_mask);
        let (left, right) = self
            .round_keys
            .iter()
            .fold(start, |(left, right), key| (right, left ^ (mix(right ^ key) & self.half_mask)));
        (left << self.half_bits) | right
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014): a bijection on 64 bits that spreads every bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
