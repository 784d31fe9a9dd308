//! The hot pairs: those frequent enough to be watched, with their counts and places.
//!
//! A pair's count is highest when the pair is made and only falls from then on. So pairs below a
//! threshold can be forgotten: none of them can win before every watched pair has fallen below it
//! too, and then the arena is scanned again. The threshold is what bounds memory.

use super::pair::Pair;
use super::pair_table::PairTable;
use crate::hints::on_huge_pages;
use std::ops::Range;

/// Memory that a watched pair takes: in the list, its index and the queue.
pub(super) const PAIR_BYTES: usize = 128;
/// Memory that a place of a watched pair takes: in the pool, and while its neighbours are noted.
pub(super) const PLACE_BYTES: usize = 8;

/// How often a pair occurs, and in how many places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size {
    /// How often it occurs, overlaps included.
    pub(super) count: u64,
    /// At how many places of the arena.
    pub(super) n_places: u32,
}

/// Stands for the index of a pair that was merged.
const RETIRED: u32 = u32::MAX;

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
    index: PairTable<u32>,
    pool: Vec<u32>, // places in the arena
}

/// Pairs that will be watched, while their places are gathered.
pub(super) struct Gathering {
    hot: Vec<Hot>,
    ends: PairTable<u32>, // in the pool, behind the places gathered so far
    pool: Vec<u32>,
}

impl Gathering {
    /// Of the pairs of `sizes`: each with its count and its number of places.
    pub(super) fn new(sizes: &[(Pair, Size)]) -> Self {
        let mut ends = PairTable::with_room(sizes.len());
        let mut hot = Vec::with_capacity(sizes.len());
        let mut end = 0;
        for &(pair, size) in sizes {
            let places = end..end + size.n_places as usize;
            *ends.entry(pair) = end as u32;
            end = places.end;
            hot.push(Hot { pair, count: size.count, places });
        }
        let mut pool = on_huge_pages(end);
        pool.resize(end, 0);
        Self { hot, ends, pool }
    }

    /// Fetches what [`Self::gather`] will look at.
    #[inline]
    pub(super) fn prepare(&self, pair: Pair) {
        self.ends.prepare(pair);
    }

    /// Notes a place of `pair`, if that is to be watched; all places come, in ascending order.
    #[inline]
    pub(super) fn gather(&mut self, pair: Pair, place: u32) {
        if let Some(end) = self.ends.get(pair) {
            self.pool[*end as usize] = place;
            *end += 1;
        }
    }

    /// The pairs, watched; all others are known to occur less than `threshold` times.
    pub(super) fn finish(self, threshold: u64) -> HotPairs {
        let Self { hot, ends: mut index, pool } = self;
        for (number, Hot { pair, .. }) in (0..).zip(&hot) {
            *index.entry(*pair) = number;
        }
        HotPairs { threshold, hot, index, pool }
    }
}

impl HotPairs {
    /// Watches nothing yet, nor ever will.
    pub(super) fn none() -> Self {
        Self { threshold: u64::MAX, hot: Vec::new(), index: PairTable::new(), pool: Vec::new() }
    }

    /// The count from which on a pair is watched.
    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// How many indices have been given out.
    pub(super) fn len(&self) -> usize {
        self.hot.len()
    }

    /// How many places there is room for.
    pub(super) fn n_places(&self) -> usize {
        self.pool.len()
    }

    /// About how much memory the watched pairs and their places take.
    pub(super) fn memory(&self) -> usize {
        self.hot.len() * PAIR_BYTES + self.pool.len() * PLACE_BYTES
    }

    /// The pair at `index`.
    pub(super) fn pair(&self, index: u32) -> Pair {
        self.hot[index as usize].pair
    }

    /// How often the pair at `index` occurs now.
    pub(super) fn count(&self, index: u32) -> u64 {
        self.hot[index as usize].count
    }

    /// Starts to watch `pair`, which has `n_places`; returns where in the pool these belong.
    pub(super) fn watch(&mut self, pair: Pair, count: u64, n_places: u32) -> usize {
        let (index, start) = (self.hot.len() as u32, self.pool.len());
        self.pool.resize(start + n_places as usize, 0);
        self.hot.push(Hot { pair, count, places: start..self.pool.len() });
        *self.index.entry(pair) = index;
        start
    }

    /// Fills in a place of a pair that [`Self::watch`] made room for; those of a pair ascend.
    #[inline]
    pub(super) fn put_place(&mut self, at: usize, place: u32) {
        self.pool[at] = place;
    }

    /// Fetches what [`Self::lower`] will look at first.
    #[inline]
    pub(super) fn prepare(&self, pair: Pair) {
        self.index.prepare(pair);
    }

    /// Takes `weight` off the count of `pair`, if it is watched.
    #[inline]
    pub(super) fn lower(&mut self, pair: Pair, weight: u64) {
        let index = self.index.get(pair).copied().unwrap_or(RETIRED);
        if let Some(hot) = self.hot.get_mut(index as usize) {
            hot.count -= weight;
        }
    }

    /// Stops to watch the pair at `index`; its places are returned, as they lie in the pool.
    pub(super) fn retire(&mut self, index: u32) -> &[u32] {
        let hot = &mut self.hot[index as usize];
        hot.count = 0;
        *self.index.entry(hot.pair) = RETIRED;
        &self.pool[hot.places.clone()]
    }

    /// The first place of the pair at `index` that `holds` it still; those before are dropped.
    pub(super) fn first_place(&mut self, index: u32, holds: impl Fn(Pair, u32) -> bool) -> Option<u32> {
        let Hot { pair, places, .. } = &mut self.hot[index as usize];
        places.start += self.pool[places.clone()].iter().take_while(|&&place| !holds(*pair, place)).count();
        self.pool[places.clone()].first().copied()
    }
}
