//! The bytes of a pretoken to ids, by the definition of BPE encoding, made fast:
//!
//! ```text
//! while some neighbours merge:
//!     replace those of lowest rank, the leftmost of several, by the token that they make
//! ```
//!
//! `merge_by_definition`, in the tests below, is this loop in Rust. [`Merger::merge_short`] does the same for few
//! bytes: it scans all neighbours for the lowest rank after each merge, in arrays on the stack.
//! [`Merger::merge_long`] is for more bytes, in n log n: a linked list of tokens, and a heap of the merges that
//! neighbours could do. `windows` cuts even longer strings and calls this file for the parts.
//!
//! Callers pass a pretoken, or a piece of one if it was cut; here each is a string of bytes.

// For `least`, which the loop over merges contains: inlined, it compares two pairs of numbers per instruction.
#![allow(clippy::inline_always)]

use super::limits::MAX_TOTAL_BYTES;
use super::pairs::{FREE_BITS, Made, Merge, NO_MERGE, PairTable, RANK_FROM, id_of, rank_of};
use crate::interrupt::{self, CHECK_BYTES};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Most strings have at most this many bytes, and comparing few numbers is quick.
const SHORTEST_BYTES: usize = 8;
const SHORTER_BYTES: usize = 16;
/// Up to this length, scanning is faster than the heap.
const SHORT_BYTES: usize = 64;
const NONE: u32 = u32::MAX;
// The position of a merge in a short string fits into the bits that `Made` leaves free between its rank and its id.
// Positions in long strings never reach `NONE`.
const _: () = assert!(SHORT_BYTES <= 1 << (RANK_FROM - FREE_BITS) && MAX_TOTAL_BYTES < NONE as usize);

/// The parts of a vocabulary that merging needs.
#[derive(Clone, Debug)]
pub(crate) struct Merger {
    byte_ids: [u32; 256],
    /// The result of merging bytes `left` and `right`, at `left << 8 | right`: every string starts here.
    byte_pairs: Vec<Made>,
    pairs: PairTable,
}

/// The buffers for long strings, reused from one string to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    nodes: Vec<Node>,
    candidates: BinaryHeap<Reverse<(u32, u32)>>,
}

/// A token in the list of a long string, at the position of its first byte.
#[derive(Clone, Copy, Debug)]
struct Node {
    id: u32,
    previous: u32,
    next: u32,
    /// What this token makes with the next one.
    made: Made,
}

impl Merger {
    /// Create a merger without merges, with room for `n_merges`.
    pub(crate) fn with_capacity(byte_ids: &[u32; 256], n_merges: usize) -> Self {
        let pairs = PairTable::with_capacity(n_merges);
        Self { byte_ids: *byte_ids, byte_pairs: vec![NO_MERGE; 1 << 16], pairs }
    }

    /// Add a merge with the next rank, like [`PairTable::push`]; `bytes` are those of the two parts.
    pub(crate) fn push(&mut self, merge: Merge, bytes: &[u8]) -> Result<(), u32> {
        self.pairs.push(merge)?;
        if let [left, right] = *bytes {
            self.byte_pairs[byte_pair(left, right)] = self.pairs.get(merge.parts.0, merge.parts.1);
        }
        Ok(())
    }

    /// Return the pair table.
    pub(crate) fn pairs(&self) -> &PairTable {
        &self.pairs
    }

    /// Append the ids of `bytes`, merging until no neighbours merge.
    #[inline]
    pub(crate) fn merge(&self, bytes: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        self.merge_down_to(1, bytes, scratch, out);
    }

    /// Like [`Merger::merge`], but stop when `fewest` tokens are left. With 2, these are the parts of the last merge.
    pub(crate) fn merge_down_to(&self, fewest: usize, bytes: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if bytes.len() <= SHORTEST_BYTES {
            self.merge_short::<SHORTEST_BYTES>(fewest, bytes, out);
        } else if bytes.len() <= SHORTER_BYTES {
            self.merge_short::<SHORTER_BYTES>(fewest, bytes, out);
        } else if bytes.len() <= SHORT_BYTES {
            self.merge_short::<SHORT_BYTES>(fewest, bytes, out);
        } else {
            self.merge_long(fewest, bytes, scratch, out);
        }
    }

    /// Merge up to `MOST` bytes. A token is stored at the position of its first byte, and a bit mask marks the
    /// positions of tokens. So nothing is moved, and the next merge is the least of `MOST` numbers.
    fn merge_short<const MOST: usize>(&self, fewest: usize, bytes: &[u8], out: &mut Vec<u32>) {
        let n = bytes.len().min(MOST);
        let mut ids = [0_u32; MOST];
        // What each token makes with the next one, and its position in the free bits: the least value is the best merge.
        let mut made = [NO_MERGE; MOST];
        for (id, &byte) in ids.iter_mut().zip(bytes) {
            *id = self.byte_ids[usize::from(byte)];
        }
        for (at, (made, pair)) in made.iter_mut().zip(bytes.windows(2)).enumerate() {
            *made = self.byte_pairs[byte_pair(pair[0], pair[1])] | place(at);
        }
        // At first each of the n bytes is a token: n bits, none of them if n is 0.
        let mut starts = u64::MAX.checked_shr(64 - n as u32).unwrap_or(0);
        for _ in fewest..n {
            let best = least(&made);
            if best >= NO_MERGE_HERE {
                break;
            }
            let at = (best >> FREE_BITS) as usize & (MOST - 1); // `& (MOST - 1)` spares the check of a bound
            // The tokens on the left of `at` and on its right. The first on the right is the right part of the merge.
            let (before, after) = (starts & !(u64::MAX << at), starts & (u64::MAX << at << 1));
            let (gone, after) = (first(after), after & after.wrapping_sub(1));
            starts ^= 1 << gone;
            ids[at] = id_of(best);
            made[gone & (MOST - 1)] = NO_MERGE;
            made[at] = NO_MERGE;
            if after != 0 {
                // What the new token makes with its right neighbour.
                made[at] = self.pairs.get(ids[at], ids[first(after) & (MOST - 1)]) | place(at);
            }
            if before != 0 {
                // What its left neighbour makes with it.
                let previous = before.ilog2() as usize & (MOST - 1);
                made[previous] = self.pairs.get(ids[previous], ids[at]) | place(previous);
            }
        }
        while starts != 0 {
            out.push(ids[first(starts) & (MOST - 1)]);
            starts &= starts - 1; // clear the lowest bit
        }
    }

    /// Merge any number of bytes. After a merge, only the two pairs at the new token are looked up and pushed.
    fn merge_long(&self, fewest: usize, bytes: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let Scratch { nodes, candidates } = scratch;
        self.link(bytes, nodes);
        candidates.clear();
        candidates
            .extend((0..).zip(&*nodes).filter(|(_, node)| node.made != NO_MERGE).map(|(at, node)| candidate(at, node)));
        let mut n = bytes.len();
        while n > fewest
            && let Some(Reverse((rank, at))) = candidates.pop()
        {
            let node = nodes[at as usize];
            // An entry is stale if its token is gone or makes something else now.
            if node.made == NO_MERGE || rank_of(node.made) != rank {
                continue;
            }
            self.join(at, nodes);
            n -= 1;
            if n.is_multiple_of(CHECK_BYTES) {
                interrupt::check();
            }
            for changed in [node.previous, at] {
                if changed != NONE && nodes[changed as usize].made != NO_MERGE {
                    candidates.push(candidate(changed, &nodes[changed as usize]));
                }
            }
        }
        let mut at = 0;
        while at != NONE {
            out.push(nodes[at as usize].id);
            at = nodes[at as usize].next;
        }
    }

    /// Create one node per byte.
    fn link(&self, bytes: &[u8], nodes: &mut Vec<Node>) {
        let id = |byte: u8| self.byte_ids[usize::from(byte)];
        nodes.clear();
        nodes.extend((0..).zip(bytes).map(|(at, &byte): (u32, _)| Node {
            id: id(byte),
            previous: at.checked_sub(1).unwrap_or(NONE),
            next: at + 1,
            made: NO_MERGE,
        }));
        for (node, pair) in nodes.iter_mut().zip(bytes.windows(2)) {
            node.made = self.byte_pairs[byte_pair(pair[0], pair[1])];
        }
        if let Some(last) = nodes.last_mut() {
            last.next = NONE;
        }
    }

    /// Replace the token at `at` and the next one by the token that they make.
    fn join(&self, at: u32, nodes: &mut [Node]) {
        let Node { made, previous, next, .. } = nodes[at as usize];
        let after = nodes[next as usize].next;
        nodes[next as usize].made = NO_MERGE;
        let node = &mut nodes[at as usize];
        (node.id, node.next, node.made) = (id_of(made), after, NO_MERGE);
        if after != NONE {
            nodes[after as usize].previous = at;
            nodes[at as usize].made = self.pairs.get(id_of(made), nodes[after as usize].id);
        }
        if previous != NONE {
            nodes[previous as usize].made = self.pairs.get(nodes[previous as usize].id, id_of(made));
        }
    }
}

#[inline]
fn byte_pair(left: u8, right: u8) -> usize {
    usize::from(left) << 8 | usize::from(right)
}

/// Store a position in the free bits of a [`Made`], so that the leftmost of equal ranks is the least.
#[inline]
fn place(at: usize) -> Made {
    (at as u64) << FREE_BITS
}

/// A value above every merge at any position, and not above [`NO_MERGE`].
const NO_MERGE_HERE: Made = (NO_MERGE >> RANK_FROM) << RANK_FROM;

/// Return the position of the lowest set bit.
#[inline]
fn first(bits: u64) -> usize {
    bits.trailing_zeros() as usize
}

/// Return the least number. Numbers are compared in pairs, so that few comparisons wait for each other, and as
/// floating-point numbers, because every x86-64 processor compares two of those at a time.
#[inline(always)]
fn least<const N: usize>(numbers: &[Made; N]) -> Made {
    let mut least = numbers.map(f64::from_bits);
    let mut n = N;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            least[i] = if least[i + n] < least[i] { least[i + n] } else { least[i] };
        }
    }
    least[0].to_bits()
}

/// Return the heap entry, ordered by (rank, position): lowest rank first, leftmost among equals.
fn candidate(at: u32, node: &Node) -> Reverse<(u32, u32)> {
    Reverse((rank_of(node.made), at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Random merges of earlier tokens: `(left, right)` of id `256 + i`.
    fn merges() -> impl Strategy<Value = Vec<(u32, u32)>> {
        prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40).prop_map(|picks| {
            let mut ids: Vec<u32> = b"abc".iter().map(|&byte| byte.into()).collect();
            let mut merges = Vec::new();
            for (left, right) in picks {
                merges.push((ids[left.index(ids.len())], ids[right.index(ids.len())]));
                ids.push(255 + merges.len() as u32);
            }
            merges
        })
    }

    fn merger(merges: &[(u32, u32)]) -> Merger {
        let mut made = Merger::with_capacity(&std::array::from_fn(|byte| byte as u32), 0);
        for (id, &parts) in (256..).zip(merges) {
            let bytes: Vec<u8> = [parts.0, parts.1].into_iter().filter_map(|id| id.try_into().ok()).collect();
            // A pair that occurs again keeps its first rank.
            let _ = made.push(Merge { parts, id }, &bytes);
        }
        made
    }

    /// Encode as defined: look at all neighbours, do the merge of lowest rank, the leftmost of several; repeat.
    fn merge_by_definition(merger: &Merger, bytes: &[u8]) -> Vec<u32> {
        let mut ids: Vec<u32> = bytes.iter().map(|&byte| byte.into()).collect();
        while let Some((made, at)) = (1..ids.len())
            .map(|i| (merger.pairs.get(ids[i - 1], ids[i]), i - 1))
            .min()
            .filter(|best| best.0 != NO_MERGE)
        {
            ids.splice(at..at + 2, [id_of(made)]);
        }
        ids
    }

    proptest! {
        #[test]
        fn short_and_long_agree_with_the_definition(merges in merges(), bytes in prop::collection::vec(b'a'..=b'd', 1..=SHORT_BYTES)) {
            let merger = merger(&merges);
            let expected = merge_by_definition(&merger, &bytes);
            let (mut short, mut long) = (Vec::new(), Vec::new());
            merger.merge_short::<SHORT_BYTES>(1, &bytes, &mut short);
            merger.merge_long(1, &bytes, &mut Scratch::default(), &mut long);
            prop_assert_eq!(&short, &expected);
            prop_assert_eq!(&long, &expected);
        }

        #[test]
        fn long_strings_agree_with_the_definition(merges in merges(), bytes in prop::collection::vec(b'a'..=b'c', 1..300)) {
            let merger = merger(&merges);
            let mut long = Vec::new();
            merger.merge(&bytes, &mut Scratch::default(), &mut long);
            prop_assert_eq!(long, merge_by_definition(&merger, &bytes));
        }

        #[test]
        fn stopping_early_leaves_a_state_that_merging_passes_through(merges in merges(), bytes in prop::collection::vec(b'a'..=b'c', 2..80)) {
            let merger = merger(&merges);
            let (mut short, mut long) = (Vec::new(), Vec::new());
            if bytes.len() <= SHORT_BYTES {
                merger.merge_short::<SHORT_BYTES>(2, &bytes, &mut short);
                merger.merge_long(2, &bytes, &mut Scratch::default(), &mut long);
                prop_assert_eq!(&short, &long);
                prop_assert!(short.len() >= 2);
            }
        }
    }

    #[test]
    fn a_megabyte_of_one_letter_merges_in_moments() {
        let merger = merger(&[(97, 97), (256, 256), (257, 257)]);
        let mut out = Vec::new();
        merger.merge(&vec![b'a'; 1 << 20], &mut Scratch::default(), &mut out);
        assert_eq!(out, vec![258; 1 << 17]);
    }
}
