//! Finds the pairs worth watching: all of the arena is counted, the most frequent are kept.
//!
//! Where memory is short the pairs are counted in shares, one pass over the arena for each; a share
//! that proves too large is halved on the way.

use super::arena::{Arena, Slot};
use super::budget::{Budget, PAIR_BYTES, PLACE_BYTES};
use super::pairs::{HotPairs, Pair, PairMap};
use super::shape::Shapes;
use std::cmp::Reverse;
use std::ops::Range;

/// Which pairs may be merged, and how many are watched.
pub(super) struct Limits {
    /// The least count of a pair.
    pub(super) count: u64,
    /// The most bytes of the token that a pair makes.
    pub(super) token_bytes: usize,
    /// What tokens are made of, where none may cut a character.
    pub(super) shapes: Option<Shapes>,
    /// How much memory that may take.
    pub(super) budget: Budget,
}

impl Limits {
    /// Whether `pair` may become a token.
    pub(super) fn allow<S: Slot>(&self, arena: &Arena<S>, pair: Pair) -> bool {
        arena.merged_bytes(pair) <= self.token_bytes && self.shapes.as_ref().is_none_or(|shapes| shapes.allow(pair))
    }
}

/// [`Pair::part`] is below this.
const N_PARTS: u64 = 1 << 32;

/// Count and number of places of a pair.
type Size = (u64, u32);

/// Watches the most frequent pairs of `arena`, as many as `limits` admit.
pub(super) fn scan<S: Slot>(arena: &Arena<S>, limits: &Limits) -> HotPairs {
    let (threshold, frequent) = most_frequent(arena, limits);
    let mut hot = HotPairs::new(threshold);
    for (pair, (count, n_places)) in frequent {
        hot.watch(pair, count, n_places);
    }
    arena.for_each_pair(|pair, place, _| {
        if let Some(index) = hot.find(pair) {
            hot.push_place(index, place);
        }
    });
    hot
}

/// The most frequent pairs, and the count that all of them reach and no other pair.
fn most_frequent<S: Slot>(arena: &Arena<S>, limits: &Limits) -> (u64, Vec<(Pair, Size)>) {
    let mut threshold = limits.count;
    let mut frequent = Vec::new();
    let mut start = 0;
    while start < N_PARTS {
        let (share, sizes) = sizes(arena, start, limits.budget.counted_pairs);
        let wanted = |&(pair, (count, _)): &(Pair, Size)| count >= threshold && limits.allow(arena, pair);
        frequent.extend(sizes.into_iter().filter(wanted));
        threshold = raise(threshold, &mut frequent, limits.budget.watched_bytes);
        start = share.end;
    }
    (threshold, frequent)
}

/// The sizes of pairs whose parts begin at `start`, and the range of parts that is: as large as
/// `most` pairs allow.
fn sizes<S: Slot>(arena: &Arena<S>, start: u64, most: usize) -> (Range<u64>, PairMap<Size>) {
    let mut share = start..N_PARTS;
    let mut sizes = PairMap::default();
    arena.for_each_pair(|pair, _, weight| {
        let is_all = share.end - share.start == N_PARTS;
        if !is_all && !share.contains(&pair.part().into()) {
            return;
        }
        let (count, n_places): &mut Size = sizes.entry(pair).or_insert((0, 0));
        *count += weight;
        *n_places += 1;
        while sizes.len() > most && share.end - share.start > 1 {
            share.end = u64::midpoint(share.start, share.end);
            sizes.retain(|pair, _| share.contains(&pair.part().into()));
        }
    });
    (share, sizes)
}

/// Raises `threshold` until the pairs that reach it fit into `bytes`, and drops the others. The most
/// frequent pairs are kept in any case, so that each scan leads to at least one merge.
fn raise(threshold: u64, pairs: &mut Vec<(Pair, Size)>, bytes: usize) -> u64 {
    pairs.sort_unstable_by_key(|&(_, (count, n_places))| Reverse((count, n_places)));
    let Some(&(_, (highest, _))) = pairs.first() else { return threshold };
    let mut taken = 0;
    let overflow = pairs.iter().find(|&&(_, (count, n_places))| {
        taken += PAIR_BYTES + n_places as usize * PLACE_BYTES;
        taken > bytes && count < highest
    });
    let threshold = overflow.map_or(threshold, |&(_, (count, _))| count + 1);
    pairs.truncate(pairs.partition_point(|&(_, (count, _))| count >= threshold));
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_keeps_the_pairs_in_bounds() {
        let each = PAIR_BYTES + 10 * PLACE_BYTES;
        let pairs = [(5, 10), (9, 10), (9, 10), (3, 10)].map(|size| (Pair::new(0, 0), size));
        for (room, expected, left) in [(4, 2, 4), (3, 4, 3), (2, 6, 2), (0, 6, 2)] {
            let mut pairs = pairs.to_vec();
            assert_eq!(raise(2, &mut pairs, room * each), expected, "room for {room}");
            assert_eq!(pairs.len(), left, "room for {room}");
        }
        assert_eq!(raise(2, &mut vec![], 0), 2);
    }
}
