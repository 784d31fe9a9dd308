//! What one merge changes, summed up by neighbour before the pair table is touched.
//!
//! A frequent pair has thousands of places but few distinct neighbours. Sums in an array by the
//! neighbour's id make each place cheap, and each distinct neighbour costs one look-up.

use super::hot_pairs::HotPairs;
use super::pair::Pair;

const UNWATCHED: u32 = u32::MAX;
/// Neighbours ahead whose pairs are fetched while one is settled.
const AHEAD: usize = 8;

/// The neighbours on one side of the places of a merge.
pub(super) struct Neighbours {
    sums: Vec<Sum>, // by the neighbour's id
    met: Vec<u32>,
    places: Vec<(u32, u32)>, // (neighbour, where the pair with it now starts), ascending
}

#[derive(Clone, Copy, Default)]
struct Sum {
    weight: u64,
    n_places: u32,
    next: u32, // where the next place belongs, from the pool's end before the merge on
}

impl Neighbours {
    /// Memory that each id takes.
    pub(super) const ID_BYTES: usize = size_of::<Sum>();

    /// Room for ids below `n_ids`.
    pub(super) fn new(n_ids: usize) -> Self {
        Self { sums: vec![Sum::default(); n_ids], met: Vec::new(), places: Vec::new() }
    }

    /// Notes that `neighbour` now forms a pair with the new token at `place`.
    pub(super) fn note(&mut self, neighbour: u32, place: u32, weight: u64) {
        let sum = &mut self.sums[neighbour as usize];
        if sum.n_places == 0 {
            self.met.push(neighbour);
        }
        sum.weight += weight;
        sum.n_places += 1;
        self.places.push((neighbour, place));
    }

    /// Lowers the old pairs and starts to watch the new ones that are frequent enough and `wanted`.
    ///
    /// `pairs` gives, for a neighbour, the pair that it formed before and the one that it forms now.
    pub(super) fn settle(
        &mut self,
        hot: &mut HotPairs,
        pairs: impl Fn(u32) -> (Pair, Pair),
        wanted: impl Fn(Pair) -> bool,
    ) {
        let base = hot.n_places();
        for (number, &neighbour) in self.met.iter().enumerate() {
            if let Some(&later) = self.met.get(number + AHEAD) {
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
        for neighbour in self.met.drain(..) {
            self.sums[neighbour as usize] = Sum::default();
        }
    }
}
