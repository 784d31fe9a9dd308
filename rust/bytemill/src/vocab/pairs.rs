//! The merge rules as a table: two neighbouring ids to the rank of their merge and the id it makes.
//!
//! Most lookups during encoding find nothing. So a lookup first tests a bitmap that is small enough for
//! the cache (some 12 bits per pair, a false "maybe" in a tenth of the cases), and reads the slots only
//! if the pair may be there. The slots use open addressing with linear probing. The hash differs
//! between processes, so that no vocabulary file can be made whose pairs all collide; nothing depends
//! on the order of the slots.

// Lookups are a few instructions inside the loop over merges.
#![allow(clippy::inline_always)]

use super::limits::MAX_ID;
use std::hash::{BuildHasher, RandomState};

/// What merging a pair makes: a set bit, the rank, 14 free bits, the id. The least value is the merge to do first.
///
/// Read as floating-point numbers, the same bits have the same order. The set bit keeps these numbers above the
/// subnormal ones, which a processor may treat as zero, as after `torch.set_flush_denormal`.
pub(crate) type Made = u64;
const SET: Made = 1 << 62;
/// The value of a pair that does not merge: greater than any other, and finite.
pub(crate) const NO_MERGE: Made = SET | ((MOST_MERGES as u64) << RANK_FROM) | ((1 << RANK_FROM) - 1);
/// The maximum number of merges: with more, the bits would be those of an infinite number.
pub(crate) const MOST_MERGES: usize = 0x3FE << 14;
/// The first of the bits that [`Made`] leaves free.
pub(crate) const FREE_BITS: u32 = ID_BITS;
const ID_BITS: u32 = 24;
pub(crate) const RANK_FROM: u32 = 38;
// Ids stay below the free bits. Ranks stay below the set bit. If all bits are read as a number, its exponent, in bits
// 52 to 62, is below that of infinity.
const _: () = assert!(MAX_ID >> ID_BITS == 0);
const _: () = assert!((MOST_MERGES as u64) << RANK_FROM < SET && NO_MERGE >> 52 < 0x7FF);

/// Return the id that a merge makes.
#[inline]
pub(crate) fn id_of(made: Made) -> u32 {
    made as u32 & ((1 << ID_BITS) - 1)
}

/// Return the rank of the merge: its index in the list of merges.
#[inline]
pub(crate) fn rank_of(made: Made) -> u32 {
    ((made ^ SET) >> RANK_FROM) as u32
}

/// A merge rule: the two parts and the id that they make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Merge {
    pub(crate) parts: (u32, u32),
    pub(crate) id: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    pair: u64,
    made: Made,
}

const EMPTY: Slot = Slot { pair: 0, made: NO_MERGE };

/// The merges by rank, and a hash table from pairs of ids to [`Made`].
#[derive(Clone, Debug)]
pub(crate) struct PairTable {
    /// One bit for each pair in the table, at the highest bits of its hash.
    maybe: Vec<u64>,
    slots: Vec<Slot>,
    /// How far a hash is shifted to the right to get its slot.
    slot_shift: u32,
    seeds: (u64, u64),
    merges: Vec<Merge>,
}

/// Bits of the bitmap for each slot, as a power of two.
const BITS_PER_SLOT: u32 = 3;

impl PairTable {
    /// Create an empty table with room for `n_pairs`.
    pub(crate) fn with_capacity(n_pairs: usize) -> Self {
        let (random, merges) = (RandomState::new(), Vec::with_capacity(n_pairs));
        let seeds = (random.hash_one(0), random.hash_one(1));
        let mut table = Self { maybe: vec![], slots: vec![], slot_shift: 0, seeds, merges };
        table.clear((n_pairs + n_pairs / 4).next_power_of_two().max(16));
        table
    }

    /// Return all merges by rank.
    pub(crate) fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// Return what `left` and `right` make, or [`NO_MERGE`].
    #[inline(always)]
    pub(crate) fn get(&self, left: u32, right: u32) -> Made {
        let hash = self.hash(left, right);
        let bit = self.bit(hash);
        if self.maybe[bit / 64] >> (bit % 64) & 1 == 0 {
            return NO_MERGE;
        }
        self.slots[self.find(key(left, right), hash)].made
    }

    /// Add a merge with the next rank, at most [`MOST_MERGES`] in all. If there is one with the same parts
    /// already, return its rank as the error.
    pub(crate) fn push(&mut self, merge: Merge) -> Result<(), u32> {
        let (left, right) = merge.parts;
        match self.get(left, right) {
            NO_MERGE => {}
            present => return Err(rank_of(present)),
        }
        self.merges.push(merge);
        if self.merges.len() + self.merges.len() / 4 > self.slots.len() {
            self.clear(self.slots.len() * 2);
            (0..self.merges.len()).for_each(|rank| self.put(rank));
        } else {
            self.put(self.merges.len() - 1);
        }
        Ok(())
    }

    /// Return the slot of `pair`, or the empty one where it would go.
    #[inline(always)]
    fn find(&self, pair: u64, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> self.slot_shift) as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.pair == pair || slot.made == NO_MERGE {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn put(&mut self, rank: usize) {
        let Merge { parts: (left, right), id } = self.merges[rank];
        let hash = self.hash(left, right);
        let (bit, at) = (self.bit(hash), self.find(key(left, right), hash));
        self.maybe[bit / 64] |= 1 << (bit % 64);
        self.slots[at] = Slot { pair: key(left, right), made: SET | (rank as u64) << RANK_FROM | u64::from(id) };
    }

    fn clear(&mut self, n_slots: usize) {
        self.maybe = vec![0; (n_slots << BITS_PER_SLOT).div_ceil(64)];
        self.slots = vec![EMPTY; n_slots];
        self.slot_shift = 64 - n_slots.trailing_zeros();
    }

    #[inline]
    fn hash(&self, left: u32, right: u32) -> u64 {
        u64::from(left).wrapping_mul(self.seeds.0).wrapping_add(u64::from(right).wrapping_mul(self.seeds.1))
    }

    #[inline]
    fn bit(&self, hash: u64) -> usize {
        (hash >> (self.slot_shift - BITS_PER_SLOT)) as usize & (self.maybe.len() * 64 - 1)
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn pairs_are_found_again_and_others_are_not() {
        let mut table = PairTable::with_capacity(0);
        let mut model = HashMap::new();
        for rank in 0..20_000_u32 {
            let merge = Merge { parts: (rank * 7919 % (1 << 24), (1 << 24) - 1 - rank % 300), id: rank + 7 };
            assert_eq!(table.push(merge), Ok(()));
            assert_eq!(table.push(merge), Err(rank));
            model.insert(merge.parts, rank);
        }
        for (&(left, right), &rank) in &model {
            let made = table.get(left, right);
            assert_eq!((rank_of(made), id_of(made)), (rank, rank + 7));
            for other in [(right, left), (left ^ 1, right), (left, right ^ (1 << 23))] {
                assert_eq!(table.get(other.0, other.1) == NO_MERGE, !model.contains_key(&other));
            }
        }
        assert_eq!(PairTable::with_capacity(0).get(0, 0), NO_MERGE);
    }
}
