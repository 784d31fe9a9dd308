//! The hot pairs: pairs that are frequent enough to be watched, with their counts and places.
//!
//! A pair's count is highest when the pair is created, and only falls after that. So pairs below a threshold can be
//! dropped: none of them can be the best before every watched pair has fallen below the threshold too. Then the arena
//! is scanned again. The threshold limits the memory.

use super::pair::Pair;
use super::pair_table::PairTable;
use crate::hints::on_huge_pages;
use std::ops::Range;

/// Memory per watched pair: in the list, its index and the queue.
pub(super) const PAIR_BYTES: usize = 128;
/// Memory per place of a watched pair: in the pool, and while its neighbours are collected.
pub(super) const PLACE_BYTES: usize = 8;

/// How often a pair occurs, and in how many places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Size {
    /// Number of occurrences, overlaps included.
    pub(super) count: u64,
    /// Number of places in the arena.
    pub(super) n_places: u32,
}

/// Index value of a pair that was merged.
const NOT_WATCHED: u32 = u32::MAX;

/// A watched pair.
struct Hot {
    pair: Pair,
    count: u64,           // now, overlaps included
    places: Range<usize>, // in the pool, ascending; some places may no longer hold the pair
}

/// The watched pairs, identified by their indices.
pub(super) struct HotPairs {
    threshold: u64,
    hot: Vec<Hot>,
    index: PairTable<u32>,
    pool: Vec<u32>, // places in the arena
}

/// Pairs to watch, while their places are collected.
pub(super) struct Gathering {
    hot: Vec<Hot>,
    ends: PairTable<u32>, // end in the pool of the places collected so far
    pool: Vec<u32>,
}

impl Gathering {
    /// Start with the pairs of `sizes`, each with its count and its number of places.
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

    /// Prefetch the data that [`Self::gather`] reads.
    #[inline]
    pub(super) fn prepare(&self, pair: Pair) {
        self.ends.prepare(pair);
    }

    /// Store a place of `pair`, if the pair will be watched. The caller passes all places in ascending order.
    #[inline]
    pub(super) fn gather(&mut self, pair: Pair, place: u32) {
        if let Some(end) = self.ends.get(pair) {
            self.pool[*end as usize] = place;
            *end += 1;
        }
    }

    /// Return the watched pairs; all other pairs occur less than `threshold` times.
    pub(super) fn finish(self, threshold: u64) -> HotPairs {
        let Self { hot, ends: mut index, pool } = self;
        for (number, Hot { pair, .. }) in (0..).zip(&hot) {
            *index.entry(*pair) = number;
        }
        HotPairs { threshold, hot, index, pool }
    }
}

impl HotPairs {
    /// Create an empty list with a threshold that no pair reaches.
    pub(super) fn none() -> Self {
        Self { threshold: u64::MAX, hot: Vec::new(), index: PairTable::new(), pool: Vec::new() }
    }

    /// Return the minimum count of a watched pair.
    pub(super) fn threshold(&self) -> u64 {
        self.threshold
    }

    /// Return the number of indices used so far.
    pub(super) fn len(&self) -> usize {
        self.hot.len()
    }

    /// Return the size of the pool in places.
    pub(super) fn n_places(&self) -> usize {
        self.pool.len()
    }

    /// Return the approximate memory of the watched pairs and their places.
    pub(super) fn memory(&self) -> usize {
        self.hot.len() * PAIR_BYTES + self.pool.len() * PLACE_BYTES
    }

    /// Return the pair at `index`.
    pub(super) fn pair(&self, index: u32) -> Pair {
        self.hot[index as usize].pair
    }

    /// Return the current count of the pair at `index`.
    pub(super) fn count(&self, index: u32) -> u64 {
        self.hot[index as usize].count
    }

    /// Start to watch `pair` with `n_places`; return the start of its places in the pool.
    pub(super) fn watch(&mut self, pair: Pair, count: u64, n_places: u32) -> usize {
        let (index, start) = (self.hot.len() as u32, self.pool.len());
        self.pool.resize(start + n_places as usize, 0);
        self.hot.push(Hot { pair, count, places: start..self.pool.len() });
        *self.index.entry(pair) = index;
        start
    }

    /// Store a place of a pair added by [`Self::watch`]; the places of a pair must ascend.
    #[inline]
    pub(super) fn put_place(&mut self, at: usize, place: u32) {
        self.pool[at] = place;
    }

    /// Prefetch the data that [`Self::lower`] reads first.
    #[inline]
    pub(super) fn prepare(&self, pair: Pair) {
        self.index.prepare(pair);
    }

    /// Subtract `weight` from the count of `pair`, if the pair is watched.
    #[inline]
    pub(super) fn lower(&mut self, pair: Pair, weight: u64) {
        let index = self.index.get(pair).copied().unwrap_or(NOT_WATCHED);
        if let Some(hot) = self.hot.get_mut(index as usize) {
            hot.count -= weight;
        }
    }

    /// Stop watching the pair at `index`; return its places in the pool.
    pub(super) fn stop_watching(&mut self, index: u32) -> &[u32] {
        let hot = &mut self.hot[index as usize];
        hot.count = 0;
        *self.index.entry(hot.pair) = NOT_WATCHED;
        &self.pool[hot.places.clone()]
    }

    /// Return the first place where the pair at `index` still `holds`; drop the places before it.
    pub(super) fn first_place(&mut self, index: u32, holds: impl Fn(Pair, u32) -> bool) -> Option<u32> {
        let Hot { pair, places, .. } = &mut self.hot[index as usize];
        places.start += self.pool[places.clone()].iter().take_while(|&&place| !holds(*pair, place)).count();
        self.pool[places.clone()].first().copied()
    }
}
