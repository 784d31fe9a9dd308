//! The changes of one merge, summed by neighbour before the pair table is updated.
//!
//! A frequent pair has thousands of places but few distinct neighbours. Sums in an array indexed by the neighbour's id
//! make each place cheap; each distinct neighbour costs one lookup.

use super::hot_pairs::HotPairs;
use super::pair::Pair;

const UNWATCHED: u32 = u32::MAX;
/// How many neighbours ahead to prefetch pairs.
const AHEAD: usize = 8;

/// The neighbours on one side of the places of a merge.
pub(super) struct Neighbours {
    sums: Vec<Sum>, // indexed by the neighbour's id
    distinct: Vec<u32>,
    places: Vec<(u32, u32)>, // (neighbour, start of the pair with it), ascending
}

#[derive(Clone, Copy, Default)]
struct Sum {
    weight: u64,
    n_places: u32,
    next: u32, // index for the next place, relative to the pool's end before the merge
}

impl Neighbours {
    /// Memory per id.
    pub(super) const ID_BYTES: usize = size_of::<Sum>();

    /// Create an empty list with room for ids below `n_ids`.
    pub(super) fn new(n_ids: usize) -> Self {
        Self { sums: vec![Sum::default(); n_ids], distinct: Vec::new(), places: Vec::new() }
    }

    /// Record that `neighbour` now forms a pair with the new token at `place`.
    pub(super) fn note(&mut self, neighbour: u32, place: u32, weight: u64) {
        let sum = &mut self.sums[neighbour as usize];
        if sum.n_places == 0 {
            self.distinct.push(neighbour);
        }
        sum.weight += weight;
        sum.n_places += 1;
        self.places.push((neighbour, place));
    }

    /// Lower the counts of the old pairs, and watch the new pairs that are frequent enough and `wanted`.
    ///
    /// `pairs` returns, for a neighbour, its old pair and its new pair.
    pub(super) fn update_counts(
        &mut self,
        hot: &mut HotPairs,
        pairs: impl Fn(u32) -> (Pair, Pair),
        wanted: impl Fn(Pair) -> bool,
    ) {
        let base = hot.n_places();
        for (number, &neighbour) in self.distinct.iter().enumerate() {
            if let Some(&later) = self.distinct.get(number + AHEAD) {
                hot.prepare(pairs(later).0);
            }
            let (old, new) = pairs(neighbour);
            let sum = &mut self.sums[neighbour as usize];
            hot.lower(old, sum.weight);
            let watched = sum.weight >= hot.threshold() && wanted(new);
            sum.next = if watched { (hot.watch(new, sum.weight, sum.n_places) - base) as u32 } else { UNWATCHED };
        }
        for (neighbour, place) in self.places.drain(..) {
            let sum = &mut self.sums[neighbour as usize];
            if sum.next != UNWATCHED {
                hot.put_place(base + sum.next as usize, place);
                sum.next += 1;
            }
        }
        for neighbour in self.distinct.drain(..) {
            self.sums[neighbour as usize] = Sum::default();
        }
    }
}
