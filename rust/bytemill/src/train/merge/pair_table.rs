//! A hash table with pairs as keys, designed for batches of lookups: the next entries can be prefetched.
//!
//! It uses open addressing with linear probing. Pairs are never removed, because a merged pair never occurs again.

use super::pair::Pair;
use crate::hints::{on_huge_pages, prefetch};

const FREE: Pair = Pair { left: u32::MAX, right: u32::MAX }; // no token has this id
const FIRST_SLOTS: usize = 1 << 6;
const GROWTH: usize = 4; // keeps the old table small compared with the new one

/// Map from pairs to values.
pub(super) struct PairTable<V> {
    slots: Vec<(Pair, V)>, // a power of two, at most three quarters full
    n_pairs: usize,
}

impl<V: Copy + Default> PairTable<V> {
    pub(super) fn new() -> Self {
        Self::with_room(0)
    }

    /// Create an empty table that holds `n_pairs` without growing.
    pub(super) fn with_room(n_pairs: usize) -> Self {
        Self { slots: free_slots((n_pairs * 4 / 3 + 1).next_power_of_two().max(FIRST_SLOTS)), n_pairs: 0 }
    }

    /// Return the number of pairs in the largest table that can grow within `bytes` of memory, including the old table.
    pub(super) fn most_pairs(bytes: usize) -> usize {
        let most_slots = bytes / size_of::<(Pair, V)>() * GROWTH / (GROWTH + 1);
        let mut n_slots = FIRST_SLOTS;
        while n_slots * GROWTH <= most_slots {
            n_slots *= GROWTH;
        }
        room(n_slots)
    }

    /// Return the number of pairs.
    pub(super) fn len(&self) -> usize {
        self.n_pairs
    }

    /// Prefetch the data that a lookup of `pair` reads.
    #[inline]
    pub(super) fn prepare(&self, pair: Pair) {
        prefetch(&self.slots, self.home(pair));
    }

    /// Return the value of `pair`, if it is present.
    #[inline]
    pub(super) fn get(&mut self, pair: Pair) -> Option<&mut V> {
        let at = self.find(pair);
        (self.slots[at].0 == pair).then(|| &mut self.slots[at].1)
    }

    /// Return the value of `pair`; insert the default if the pair is new.
    #[inline]
    pub(super) fn entry(&mut self, pair: Pair) -> &mut V {
        let mut at = self.find(pair);
        if self.slots[at].0 != pair {
            if self.n_pairs == room(self.slots.len()) {
                self.grow();
                at = self.find(pair);
            }
            self.slots[at].0 = pair;
            self.n_pairs += 1;
        }
        &mut self.slots[at].1
    }

    /// Return every pair with its value, in no particular order.
    pub(super) fn into_pairs(self) -> impl Iterator<Item = (Pair, V)> {
        self.slots.into_iter().filter(|slot| slot.0 != FREE)
    }

    /// Keep only the pairs that are `wanted`.
    pub(super) fn retain(&mut self, wanted: impl Fn(Pair) -> bool) {
        let mut kept = Self { slots: free_slots(self.slots.len()), n_pairs: 0 };
        for &(pair, value) in self.slots.iter().filter(|slot| slot.0 != FREE && wanted(slot.0)) {
            *kept.entry(pair) = value;
        }
        *self = kept;
    }

    #[cold]
    fn grow(&mut self) {
        let larger = free_slots(GROWTH * self.slots.len());
        for (pair, value) in std::mem::replace(&mut self.slots, larger) {
            if pair != FREE {
                let at = self.find(pair);
                self.slots[at] = (pair, value);
            }
        }
    }

    /// Return the slot that holds `pair`, or the free slot for it.
    #[inline]
    fn find(&self, pair: Pair) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = self.home(pair);
        while self.slots[at].0 != pair && self.slots[at].0 != FREE {
            at = (at + 1) & mask;
        }
        at
    }

    /// Return the first slot to probe for `pair`: combine the two ids, multiply them by a constant to 128 bits, and
    /// fold.
    #[inline]
    fn home(&self, pair: Pair) -> usize {
        let ids = u64::from(pair.left) << 32 | u64::from(pair.right);
        let product = u128::from(ids) * 0x9E37_79B9_7F4A_7C15;
        (product as u64 ^ (product >> 64) as u64) as usize & (self.slots.len() - 1)
    }
}

/// Return the maximum number of pairs for `n_slots`.
fn room(n_slots: usize) -> usize {
    n_slots / 4 * 3
}

fn free_slots<V: Copy + Default>(n_slots: usize) -> Vec<(Pair, V)> {
    let mut slots = on_huge_pages(n_slots);
    slots.resize(n_slots, (FREE, V::default()));
    slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_keeps_its_value() {
        let mut table = PairTable::new();
        let pairs = || (0..50).flat_map(|left| (0..50).map(move |right| Pair::new(left, right)));
        for pair in pairs() {
            *table.entry(pair) += pair.left * 100 + pair.right;
            *table.entry(pair) += 1;
        }
        assert_eq!((table.len(), table.get(Pair::new(50, 0)).copied()), (2_500, None));
        assert!(pairs().all(|pair| table.get(pair).copied() == Some(pair.left * 100 + pair.right + 1)));
        table.retain(|pair| pair.left == 7);
        assert_eq!((table.len(), table.get(Pair::new(6, 0)).copied(), table.into_pairs().count()), (50, None, 50));
    }
}
