//! Finds the pairs worth watching: all of the arena is counted, the most frequent are kept.

use super::arena::Arena;
use super::pairs::{HotPairs, Pair, PairMap};

/// Which pairs may be merged, and how many places the watched ones may have.
pub(super) struct Limits {
    /// The least count of a pair.
    pub(super) count: u64,
    /// The most bytes of the token that a pair makes.
    pub(super) token_bytes: usize,
    /// The most places of all watched pairs together; one pair is watched however many it has.
    pub(super) places: usize,
}

impl Limits {
    /// Whether the token that `pair` makes is short enough.
    pub(super) fn allow(&self, arena: &Arena, pair: Pair) -> bool {
        arena.merged_bytes(pair) <= self.token_bytes
    }
}

/// Count and number of places of a pair.
type Size = (u64, u32);

/// Watches the most frequent pairs of `arena`, as many as `limits` admit.
pub(super) fn scan(arena: &Arena, limits: &Limits) -> HotPairs {
    let mut sizes = sizes(arena);
    sizes.retain(|&pair, &mut (count, _)| count >= limits.count && limits.allow(arena, pair));
    let threshold = threshold(sizes.values().copied().collect(), limits);
    let mut hot = HotPairs::new(threshold);
    for (pair, (count, n_places)) in sizes {
        if count >= threshold {
            hot.watch(pair, count, n_places);
        }
    }
    arena.for_each_pair(|pair, place, _| {
        if let Some(index) = hot.find(pair) {
            hot.push_place(index, place);
        }
    });
    hot
}

fn sizes(arena: &Arena) -> PairMap<Size> {
    let mut sizes = PairMap::default();
    arena.for_each_pair(|pair, _, weight| {
        let (count, n_places) = sizes.entry(pair).or_insert((0, 0));
        *count += weight;
        *n_places += 1;
    });
    sizes
}

/// The lowest threshold at which the places fit; the most frequent pairs reach it in any case, so
/// that each scan leads to at least one merge.
fn threshold(mut sizes: Vec<Size>, limits: &Limits) -> u64 {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let mut places = 0;
    let overflow = sizes.iter().find(|&&(count, n_places)| {
        places += n_places as usize;
        places > limits.places && count < sizes[0].0
    });
    overflow.map_or(limits.count, |&(count, _)| count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_keeps_the_places_in_bounds() {
        let limits = |places| Limits { count: 2, token_bytes: 9, places };
        let sizes = vec![(5, 10), (9, 10), (9, 10), (3, 10)];
        for (places, expected) in [(40, 2), (39, 4), (30, 4), (29, 6), (1, 6)] {
            assert_eq!(threshold(sizes.clone(), &limits(places)), expected, "{places} places");
        }
        assert_eq!(threshold(vec![], &limits(1)), 2);
    }
}
