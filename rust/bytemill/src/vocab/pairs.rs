//! The merge rules as a table: two neighbouring ids to the rank of their merge and the id it makes.
//!
//! Most look-ups during encoding find nothing, so they first ask a bitmap that is small enough for
//! the cache (some 12 bits a pair, a false "maybe" in a tenth of the cases); only what may be there
//! costs a look into the slots, which are open addressed with linear probing. The seed differs from
//! process to process, so that no vocabulary file can be made whose pairs all collide; nothing
//! depends on the order of the slots.

use std::hash::{BuildHasher, RandomState};

/// What merging a pair makes: `rank << 32 | id`, so that the least value is the merge to do first.
pub(crate) type Made = u64;
/// The value of a pair that does not merge: greater than any other.
pub(crate) const NO_MERGE: Made = u64::MAX;

/// The id that a merge makes.
#[inline]
pub(crate) fn id_of(made: Made) -> u32 {
    made as u32
}

/// The merge's rank: its index in the list of merges.
#[inline]
pub(crate) fn rank_of(made: Made) -> u32 {
    (made >> 32) as u32
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    pair: u64,
    made: Made,
}

const EMPTY: Slot = Slot { pair: 0, made: NO_MERGE };

/// A hash table from pairs of ids to [`Made`].
#[derive(Clone, Debug)]
pub(crate) struct PairTable {
    /// Bit `hash % n_bits` of every pair that is there.
    maybe: Vec<u64>,
    slots: Vec<Slot>,
    n_pairs: usize,
    seed: u64,
}

/// Bits of the bitmap for each slot.
const BITS_PER_SLOT: usize = 8;

impl PairTable {
    /// An empty table with room for `n_pairs`.
    pub(crate) fn with_capacity(n_pairs: usize) -> Self {
        let n_slots = (n_pairs + n_pairs / 4).next_power_of_two().max(16);
        Self {
            maybe: vec![0; n_slots * BITS_PER_SLOT / 64],
            slots: vec![EMPTY; n_slots],
            n_pairs: 0,
            seed: RandomState::new().hash_one(n_pairs),
        }
    }

    /// What `left` and `right` make, or [`NO_MERGE`].
    #[inline]
    pub(crate) fn get(&self, left: u32, right: u32) -> Made {
        let hash = self.hash(key(left, right));
        let bit = self.bit(hash);
        if self.maybe[bit / 64] >> (bit % 64) & 1 == 0 {
            return NO_MERGE;
        }
        self.slots[self.find(key(left, right), hash)].made
    }

    /// Adds a pair. One that is there already keeps its value, and that value is returned.
    pub(crate) fn insert(&mut self, left: u32, right: u32, rank: u32, id: u32) -> Option<Made> {
        if self.n_pairs + self.n_pairs / 4 >= self.slots.len() {
            self.grow();
        }
        let slot = Slot { pair: key(left, right), made: u64::from(rank) << 32 | u64::from(id) };
        let at = self.find(slot.pair, self.hash(slot.pair));
        if self.slots[at].made != NO_MERGE {
            return Some(self.slots[at].made);
        }
        self.put(at, slot);
        self.n_pairs += 1;
        None
    }

    /// The slot of `pair`, or the empty one where it would go.
    #[inline]
    fn find(&self, pair: u64, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 32) as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.pair == pair || slot.made == NO_MERGE {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn put(&mut self, at: usize, slot: Slot) {
        let bit = self.bit(self.hash(slot.pair));
        self.maybe[bit / 64] |= 1 << (bit % 64);
        self.slots[at] = slot;
    }

    #[inline]
    fn hash(&self, pair: u64) -> u64 {
        let product = u128::from(pair ^ self.seed) * u128::from(0x9E37_79B9_7F4A_7C15_u64);
        (product >> 64) as u64 ^ product as u64
    }

    #[inline]
    fn bit(&self, hash: u64) -> usize {
        hash as usize & (self.maybe.len() * 64 - 1)
    }

    fn grow(&mut self) {
        let n_slots = self.slots.len() * 2;
        self.maybe = vec![0; n_slots * BITS_PER_SLOT / 64];
        for slot in std::mem::replace(&mut self.slots, vec![EMPTY; n_slots]) {
            if slot.made != NO_MERGE {
                let at = self.find(slot.pair, self.hash(slot.pair));
                self.put(at, slot);
            }
        }
    }
}

#[inline]
fn key(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_found_again_and_others_are_not() {
        let mut table = PairTable::with_capacity(0);
        for i in 0..1000 {
            assert_eq!(table.insert(i, i + 1, i, i + 256), None);
        }
        assert_eq!(table.insert(7, 8, 5000, 5000), Some(table.get(7, 8)));
        for i in 0..1000 {
            assert_eq!((rank_of(table.get(i, i + 1)), id_of(table.get(i, i + 1))), (i, i + 256));
            assert_eq!(table.get(i + 1, i), NO_MERGE);
        }
        assert_eq!(PairTable::with_capacity(0).get(0, 0), NO_MERGE);
    }
}
