//! The hot pairs: those frequent enough to be watched, with their counts and places.
//!
//! A pair's count is highest when the pair is made and only falls from then on. So pairs below a
//! threshold can be forgotten: none of them can win before every watched pair has fallen below it
//! too, and then the arena is scanned again. The threshold is what bounds memory.

use super::budget::{PAIR_BYTES, PLACE_BYTES};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// Two neighbouring tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    /// The left token's id.
    pub(super) left: u32,
    /// The right token's id.
    pub(super) right: u32,
}

impl Pair {
    /// The pair of `left` and `right`.
    pub(super) fn new(left: u32, right: u32) -> Self {
        Self { left, right }
    }

    /// A number that spreads pairs evenly, in another way than [`PairHasher`] does.
    #[inline]
    pub(super) fn part(self) -> u32 {
        let mixed = (u64::from(self.left) << 32 | u64::from(self.right)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        ((mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32) as u32
    }
}

/// A map by pair, with a hash that costs one multiplication.
pub(super) type PairMap<V> = HashMap<Pair, V, BuildHasherDefault<PairHasher>>;

/// Puts the two ids side by side and folds their 128-bit product with a constant.
#[derive(Default)]
pub(super) struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write_u32(&mut self, id: u32) {
        self.0 = self.0 << 32 | u64::from(id);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(byte.into());
        }
    }

    fn finish(&self) -> u64 {
        let product = u128::from(self.0) * 0x9E37_79B9_7F4A_7C15;
        product as u64 ^ (product >> 64) as u64
    }
}

/// A watched pair.
struct Hot {
    pair: Pair,
    count: u64,           // now, overlaps included
    places: Range<usize>, // in the pool, ascending; some may hold the pair no more
}

/// The watched pairs, each known by its index.
pub(super) struct HotPairs {
    threshold: u64,
    hot: Vec<Hot>,
    index: PairMap<u32>,
    pool: Vec<u32>, // places in the arena
}

impl HotPairs {
    /// Watches nothing yet, nor anything that occurs less than `threshold` times.
    pub(super) fn new(threshold: u64) -> Self {
        Self { threshold, hot: Vec::new(), index: PairMap::default(), pool: Vec::new() }
    }

    /// The count from which on a pair is watched.
    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// How many indices have been given out.
    pub(super) fn len(&self) -> usize {
        self.hot.len()
    }

    /// About how much memory the watched pairs and their places take.
    pub(super) fn memory(&self) -> usize {
        self.hot.len() * PAIR_BYTES + self.pool.len() * PLACE_BYTES
    }

    /// The index of `pair`, if it is watched.
    pub(super) fn find(&self, pair: Pair) -> Option<u32> {
        self.index.get(&pair).copied()
    }

    /// The pair at `index`.
    pub(super) fn pair(&self, index: u32) -> Pair {
        self.hot[index as usize].pair
    }

    /// How often the pair at `index` occurs now.
    pub(super) fn count(&self, index: u32) -> u64 {
        self.hot[index as usize].count
    }

    /// Starts to watch `pair`, with room for `n_places` calls of [`Self::push_place`].
    pub(super) fn watch(&mut self, pair: Pair, count: u64, n_places: u32) -> u32 {
        let (index, start) = (self.hot.len() as u32, self.pool.len());
        self.pool.resize(start + n_places as usize, 0);
        self.hot.push(Hot { pair, count, places: start..start });
        self.index.insert(pair, index);
        index
    }

    /// Notes one more place of the pair at `index`; places come in ascending order.
    pub(super) fn push_place(&mut self, index: u32, place: u32) {
        let places = &mut self.hot[index as usize].places;
        self.pool[places.end] = place;
        places.end += 1;
    }

    /// Takes `weight` off the count of `pair`, if it is watched.
    pub(super) fn lower(&mut self, pair: Pair, weight: u64) {
        if let Some(index) = self.find(pair) {
            self.hot[index as usize].count -= weight;
        }
    }

    /// Stops to watch the pair at `index`; its places are returned, as they lie in the pool.
    pub(super) fn retire(&mut self, index: u32) -> &[u32] {
        let hot = &mut self.hot[index as usize];
        hot.count = 0;
        self.index.remove(&hot.pair);
        &self.pool[hot.places.clone()]
    }

    /// The first place of the pair at `index` that `holds` it still; those before are dropped.
    pub(super) fn first_place(&mut self, index: u32, holds: impl Fn(Pair, u32) -> bool) -> Option<u32> {
        let Hot { pair, places, .. } = &mut self.hot[index as usize];
        places.start += self.pool[places.clone()].iter().take_while(|&&place| !holds(*pair, place)).count();
        self.pool[places.clone()].first().copied()
    }
}
