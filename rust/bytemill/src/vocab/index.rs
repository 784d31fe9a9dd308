//! Maps byte strings to ids: the table that answers "is this one token?".
//!
//! It stores only ids, each with 32 bits of the hash of its string. A string itself is compared where
//! the tokens are stored, and almost every comparison succeeds. So the table is small and quick to
//! build. The hash differs between processes, against files made to collide.

use super::limits::MAX_ID;
use std::hash::{BuildHasher, RandomState};

/// The ids of strings that are stored elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct ByteIndex {
    /// 32 bits of hash above the id plus one; zero if the slot is empty.
    slots: Vec<u64>,
    n: usize,
    seed: u64,
}

/// An entry is a 32-bit hash above the id plus one, which must fit into 32 bits.
const _: () = assert!(MAX_ID < u32::MAX);

impl ByteIndex {
    /// Create an empty table with room for `n` strings.
    pub(crate) fn with_capacity(n: usize) -> Self {
        Self { slots: vec![0; (n * 2).next_power_of_two().max(16)], n: 0, seed: RandomState::new().hash_one(n) }
    }

    /// Return the id of `bytes`; `string` returns the string of an id.
    #[inline]
    pub(crate) fn get<'t>(&self, bytes: &[u8], string: impl Fn(u32) -> Option<&'t [u8]>) -> Option<u32> {
        self.find(bytes, self.hash(bytes), string).ok()
    }

    /// Add `id` for `bytes`. If they are in the table already, they keep their id, which is the error.
    pub(crate) fn insert<'t>(
        &mut self,
        bytes: &[u8],
        id: u32,
        string: impl Fn(u32) -> Option<&'t [u8]>,
    ) -> Result<(), u32> {
        if (self.n + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = self.hash(bytes);
        match self.find(bytes, hash, string) {
            Ok(present) => Err(present),
            Err(at) => {
                self.slots[at] = hash << 32 | u64::from(id + 1);
                self.n += 1;
                Ok(())
            }
        }
    }

    /// Return the id of `bytes`, or the slot where it would go.
    #[inline]
    fn find<'t>(&self, bytes: &[u8], hash: u64, string: impl Fn(u32) -> Option<&'t [u8]>) -> Result<u32, usize> {
        let mut at = self.home(hash);
        while self.slots[at] != 0 {
            let id = (self.slots[at] as u32).wrapping_sub(1);
            if self.slots[at] >> 32 == hash && string(id) == Some(bytes) {
                return Ok(id);
            }
            at = self.next(at);
        }
        Err(at)
    }

    fn grow(&mut self) {
        let twice = vec![0; self.slots.len() * 2];
        for slot in std::mem::replace(&mut self.slots, twice).into_iter().filter(|slot| *slot != 0) {
            let mut at = self.home(slot >> 32);
            while self.slots[at] != 0 {
                at = self.next(at);
            }
            self.slots[at] = slot;
        }
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    /// Return a 32-bit hash; overlapping words cover every length without a loop over bytes.
    #[inline]
    fn hash(&self, bytes: &[u8]) -> u64 {
        let mix = |hash: u64, word: u64| {
            let product = u128::from(hash ^ word) * u128::from(0x9E37_79B9_7F4A_7C15_u64);
            (product >> 64) as u64 ^ product as u64
        };
        let mut hash = mix(self.seed, bytes.len() as u64);
        let last = if let Some(last) = bytes.last_chunk() {
            for word in bytes.as_chunks().0 {
                hash = mix(hash, u64::from_le_bytes(*word));
            }
            u64::from_le_bytes(*last)
        } else if let (Some(head), Some(tail)) = (bytes.first_chunk(), bytes.last_chunk()) {
            u64::from(u32::from_le_bytes(*head)) << 32 | u64::from(u32::from_le_bytes(*tail))
        } else {
            bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
        };
        mix(mix(hash, last), self.seed) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_agrees_with_a_search(strings in prop::collection::vec(prop::collection::vec(0_u8..3, 1..20), 0..200)) {
            let mut index = ByteIndex::with_capacity(0);
            let string = |id: u32| strings.get(id as usize).map(Vec::as_slice);
            let first = |bytes: &[u8]| (0..).zip(&strings).find(|(_, string)| string[..] == *bytes).map(|(id, _)| id);
            for (id, bytes) in (0..).zip(&strings) {
                let present = first(bytes).filter(|first| *first < id);
                prop_assert_eq!(index.insert(bytes, id, string).err(), present);
            }
            for bytes in &strings {
                prop_assert_eq!(index.get(bytes, string), first(bytes));
                prop_assert_eq!(index.get(&bytes[1..], string), first(&bytes[1..]));
            }
        }
    }
}
