//! Byte strings to ids: the table that answers "is this pretoken one token?".
//!
//! Nearly all tokens have at most 15 bytes and are their own key, a `u128` with the length on top,
//! so a look-up compares one integer and never follows a pointer. Longer ones are in a `HashMap`.
//! The seed differs from process to process, against files made to collide.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

const LONGEST_KEY_BYTES: usize = 15;
const NO_KEY: u128 = 0;

/// A map from non-empty byte strings to `u32`.
#[derive(Clone, Debug)]
pub(crate) struct ByteIndex {
    short: Vec<Slot>,
    n_short: usize,
    seed: u64,
    long: HashMap<Box<[u8]>, u32>,
    longest_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Slot {
    key: u128,
    value: u32,
}

const EMPTY: Slot = Slot { key: NO_KEY, value: 0 };

impl ByteIndex {
    /// An empty map with room for `n` short strings.
    pub(crate) fn with_capacity(n: usize) -> Self {
        Self {
            short: vec![EMPTY; (n * 2).next_power_of_two().max(16)],
            n_short: 0,
            seed: RandomState::new().hash_one(n) | 1,
            long: HashMap::new(),
            longest_bytes: 0,
        }
    }

    /// The value of `bytes`.
    #[inline]
    pub(crate) fn get(&self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() <= LONGEST_KEY_BYTES {
            let slot = &self.short[self.find(key(bytes))];
            (slot.key != NO_KEY).then_some(slot.value)
        } else if bytes.len() <= self.longest_bytes {
            self.long.get(bytes).copied()
        } else {
            None
        }
    }

    /// Adds `bytes`. If they are there already they keep their value, and that value is returned.
    pub(crate) fn insert(&mut self, bytes: &[u8], value: u32) -> Option<u32> {
        if let Some(present) = self.get(bytes) {
            return Some(present);
        }
        self.longest_bytes = self.longest_bytes.max(bytes.len());
        if bytes.len() > LONGEST_KEY_BYTES {
            self.long.insert(bytes.into(), value);
            return None;
        }
        if (self.n_short + 1) * 2 > self.short.len() {
            self.grow();
        }
        let at = self.find(key(bytes));
        self.short[at] = Slot { key: key(bytes), value };
        self.n_short += 1;
        None
    }

    /// The slot of `key`, or the empty one where it would go.
    #[inline]
    fn find(&self, key: u128) -> usize {
        let mask = self.short.len() - 1;
        let mixed = u128::from(key as u64 ^ self.seed) * u128::from((key >> 64) as u64 ^ 0x9E37_79B9_7F4A_7C15);
        let mut at = ((mixed >> 64) as u64 ^ mixed as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93) as usize >> 24 & mask;
        loop {
            let slot = &self.short[at];
            if slot.key == key || slot.key == NO_KEY {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let short = vec![EMPTY; self.short.len() * 2];
        for slot in std::mem::replace(&mut self.short, short) {
            if slot.key != NO_KEY {
                let at = self.find(slot.key);
                self.short[at] = slot;
            }
        }
    }
}

/// At most 15 bytes and their number as one integer; zero for none at all.
#[inline]
fn key(bytes: &[u8]) -> u128 {
    let n = bytes.len();
    // Two loads that overlap cover every length from theirs to its double without a loop over bytes.
    let two_loads = |head: u64, tail: u64, width: usize| u128::from(head) | u128::from(tail) << (8 * (n - width));
    let value = if let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        two_loads(u64::from_le_bytes(*head), u64::from_le_bytes(*tail), 8)
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        two_loads(u32::from_le_bytes(*head).into(), u32::from_le_bytes(*tail).into(), 4)
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk::<2>(), bytes.last_chunk::<2>()) {
        two_loads(u16::from_le_bytes(*head).into(), u16::from_le_bytes(*tail).into(), 2)
    } else {
        bytes.first().map_or(0, |&byte| byte.into())
    };
    value | (n as u128) << 120
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_hash_map(strings in prop::collection::vec(prop::collection::vec(0_u8..3, 1..20), 0..200)) {
            let mut index = ByteIndex::with_capacity(0);
            let mut model: HashMap<Vec<u8>, u32> = HashMap::new();
            for (value, bytes) in (0..).zip(&strings) {
                prop_assert_eq!(index.insert(bytes, value), model.get(bytes).copied());
                model.entry(bytes.clone()).or_insert(value);
            }
            for bytes in &strings {
                prop_assert_eq!(index.get(bytes), model.get(bytes).copied());
                prop_assert_eq!(index.get(&bytes[1..]), model.get(&bytes[1..]).copied());
            }
        }
    }
}
