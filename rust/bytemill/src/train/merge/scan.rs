//! Find the pairs to watch: count all pairs of the arena and keep the most frequent.
//!
//! If memory is short, the pairs are counted in shares, with one pass over the arena per share. A share that is too
//! large is halved during the pass.

use super::arena::{Arena, TokenSlot};
use super::budget::Budget;
use super::hot_pairs::{Gathering, HotPairs, PAIR_BYTES, PLACE_BYTES, Size};
use super::pair::Pair;
use super::pair_table::PairTable;
use super::utf8_safe::Shapes;
use crate::error::Result;
use crate::train::progress::Reporter;
use std::cmp::Reverse;
use std::ops::Range;

/// Limits on the pairs that may be merged and on the number watched.
pub(super) struct Limits {
    /// Minimum count of a pair.
    pub(super) count: u64,
    /// Maximum length in bytes of the token that a pair makes.
    pub(super) token_bytes: usize,
    /// The shapes of tokens, if no token may cut a character.
    pub(super) shapes: Option<Shapes>,
    /// Memory limits.
    pub(super) budget: Budget,
}

impl Limits {
    /// Return whether `pair` may become a token.
    pub(super) fn allow<S: TokenSlot>(&self, arena: &Arena<S>, pair: Pair) -> bool {
        arena.merged_bytes(pair) <= self.token_bytes && self.shapes.as_ref().is_none_or(|shapes| shapes.allow(pair))
    }
}

/// Upper bound of [`Pair::part`], exclusive.
const N_PARTS: u64 = 1 << 32;

/// Find the most frequent pairs of `arena`, as many as `limits` allow, and watch them. Return an error if `reporter`
/// fails.
pub(super) fn scan<S: TokenSlot>(arena: &Arena<S>, limits: &Limits, reporter: &mut Reporter) -> Result<HotPairs> {
    let (threshold, frequent) = most_frequent(arena, limits, reporter)?;
    let mut gathering = Gathering::new(&frequent);
    drop(frequent);
    arena.for_each_batch(reporter, |batch| {
        for found in batch {
            gathering.prepare(found.pair);
        }
        for found in batch {
            gathering.gather(found.pair, found.place);
        }
    })?;
    Ok(gathering.finish(threshold))
}

/// Return the most frequent pairs, and their minimum count, which no other pair reaches.
fn most_frequent<S: TokenSlot>(
    arena: &Arena<S>,
    limits: &Limits,
    reporter: &mut Reporter,
) -> Result<(u64, Vec<(Pair, Size)>)> {
    let mut threshold = limits.count;
    let mut frequent = Vec::new();
    let mut start = 0;
    while start < N_PARTS {
        let (share, sizes) = sizes(arena, start, limits.budget.counted_pairs, reporter)?;
        let mut room = limits.budget.watched_bytes / PAIR_BYTES + frequent.len();
        for (pair, size) in sizes.into_pairs() {
            if size.count < threshold || !limits.allow(arena, pair) {
                continue;
            }
            frequent.push((pair, size));
            if frequent.len() / 2 > room {
                threshold = raise(threshold, &mut frequent, limits.budget.watched_bytes);
                room = room.max(frequent.len());
            }
        }
        threshold = raise(threshold, &mut frequent, limits.budget.watched_bytes);
        start = share.end;
    }
    Ok((threshold, frequent))
}

/// Count the pairs with parts from `start` on, in the largest range of parts with at most `most` pairs. Return the
/// range and the sizes.
fn sizes<S: TokenSlot>(
    arena: &Arena<S>,
    start: u64,
    most: usize,
    reporter: &mut Reporter,
) -> Result<(Range<u64>, PairTable<Size>)> {
    let mut share = start..N_PARTS;
    let mut sizes: PairTable<Size> = PairTable::new();
    arena.for_each_batch(reporter, |batch| {
        for found in batch {
            sizes.prepare(found.pair);
        }
        let is_all = share.end - share.start == N_PARTS;
        for found in batch {
            if !is_all && !share.contains(&found.pair.part().into()) {
                continue;
            }
            let size = sizes.entry(found.pair);
            size.count += found.weight;
            size.n_places += 1;
        }
        while sizes.len() > most && share.end - share.start > 1 {
            share.end = u64::midpoint(share.start, share.end);
            sizes.retain(|pair| share.contains(&pair.part().into()));
        }
    })?;
    Ok((share, sizes))
}

/// Raise `threshold` until the pairs that reach it fit into `bytes`, and drop the other pairs. Always keep the most
/// frequent pairs, so that each scan leads to at least one merge.
fn raise(threshold: u64, pairs: &mut Vec<(Pair, Size)>, bytes: usize) -> u64 {
    pairs.sort_unstable_by_key(|&(_, size)| Reverse(size));
    let Some(&(_, Size { count: highest, .. })) = pairs.first() else { return threshold };
    let mut taken = 0;
    let overflow = pairs.iter().find(|(_, size)| {
        taken += PAIR_BYTES + size.n_places as usize * PLACE_BYTES;
        taken > bytes && size.count < highest
    });
    let threshold = overflow.map_or(threshold, |(_, size)| size.count + 1);
    pairs.truncate(pairs.partition_point(|(_, size)| size.count >= threshold));
    threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_keeps_the_pairs_in_bounds() {
        let each = PAIR_BYTES + 10 * PLACE_BYTES;
        let pairs =
            [(5, 10), (9, 10), (9, 10), (3, 10)].map(|(count, n_places)| (Pair::new(0, 0), Size { count, n_places }));
        for (room, expected, left) in [(4, 2, 4), (3, 4, 3), (2, 6, 2), (0, 6, 2)] {
            let mut pairs = pairs.to_vec();
            assert_eq!(raise(2, &mut pairs, room * each), expected, "room for {room}");
            assert_eq!(pairs.len(), left, "room for {room}");
        }
        assert_eq!(raise(2, &mut vec![], 0), 2);
    }
}
