//! Count words of any length: their bytes are in one arena, found by hash.
//!
//! This table is for words that do not fit a 16-byte key: long identifiers, runs of spaces, about half of Chinese
//! words, and whole documents if there is no split pattern.

use super::tally::Tally;

const FREE: u32 = u32::MAX;
const FIRST_SLOTS: usize = 1 << 8;
const GROWTH: usize = 2;

#[derive(Clone, Copy)]
struct Slot {
    tag: u32, // the upper half of the hash, so that most other words are excluded without comparing their bytes
    index: u32,
}

struct Entry {
    hash: u64,
    start: usize,
    end: usize,
    tally: Tally,
}

/// Map from words to tallies.
pub(super) struct LongWords {
    slots: Vec<Slot>, // a power of two, at most half full
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

impl LongWords {
    pub(super) fn new() -> Self {
        Self { slots: vec![Slot { tag: 0, index: FREE }; FIRST_SLOTS], entries: Vec::new(), bytes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Add to the tally of `word`; return true if the word is new.
    pub(super) fn add(&mut self, word: &[u8], tally: Tally) -> bool {
        let hash = hash(word);
        let at = self.find(hash, word);
        let index = self.slots[at].index;
        if index != FREE {
            self.entries[index as usize].tally.add(tally);
            return false;
        }
        self.slots[at] = Slot { tag: tag(hash), index: self.entries.len() as u32 };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(word);
        self.entries.push(Entry { hash, start, end: self.bytes.len(), tally });
        if self.entries.len() * 2 > self.slots.len() {
            self.grow();
        }
        true
    }

    /// Return the word and the tally of the entry at `index`, in the order of first additions.
    pub(super) fn get(&self, index: usize) -> (&[u8], Tally) {
        let entry = &self.entries[index];
        (&self.bytes[entry.start..entry.end], entry.tally)
    }

    /// Return the memory of the words in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>() + self.slots.len() * size_of::<Slot>()
    }

    /// Return the peak memory of the words in bytes while the table grows: pages that were never written cost nothing.
    pub(super) fn memory_to_grow(&self) -> usize {
        self.memory() + GROWTH * self.slots.len() * size_of::<Slot>()
    }

    /// Pass all words to `each` in the order of their bytes, and clear the table.
    pub(super) fn drain<E>(&mut self, mut each: impl FnMut(&[u8], Tally) -> Result<(), E>) -> Result<(), E> {
        let Self { entries, bytes, .. } = self;
        entries.sort_unstable_by(|a, b| bytes[a.start..a.end].cmp(&bytes[b.start..b.end]));
        for entry in &*entries {
            each(&bytes[entry.start..entry.end], entry.tally)?;
        }
        *self = Self::new();
        Ok(())
    }

    /// Return the slot that holds `word`, or the free slot for it.
    fn find(&self, hash: u64, word: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.index == FREE || slot.tag == tag(hash) && self.get(slot.index as usize).0 == word {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * GROWTH - 1;
        self.slots = vec![Slot { tag: 0, index: FREE }; mask + 1];
        for (index, entry) in self.entries.iter().enumerate() {
            let mut at = entry.hash as usize & mask;
            while self.slots[at].index != FREE {
                at = (at + 1) & mask;
            }
            self.slots[at] = Slot { tag: tag(entry.hash), index: index as u32 };
        }
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Hash a word: multiply eight bytes per round into the state. The last rounds take the remaining bytes and the length.
pub(super) fn hash(word: &[u8]) -> u64 {
    let (chunks, rest) = word.as_chunks();
    let mut state = chunks.iter().fold(0, |state, chunk| mix(state, u64::from_le_bytes(*chunk)));
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    state = mix(state, u64::from_le_bytes(last));
    mix(state, word.len() as u64)
}

fn mix(state: u64, value: u64) -> u64 {
    let product = u128::from(state ^ value ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn growing_loses_nothing() {
        let mut words = LongWords::new();
        for _ in 0..2 {
            for number in 0..3_000 {
                words.add(
                    format!("a word of more than fifteen bytes {number}").as_bytes(),
                    Tally { count: 3, first: 1 },
                );
            }
        }
        assert_eq!(words.len(), 3_000);
        for number in 0..3_000 {
            let (word, tally) = words.get(number);
            assert_eq!(word, format!("a word of more than fifteen bytes {number}").as_bytes());
            assert_eq!(tally.count, 6);
        }
        let mut drained = Vec::new();
        let drain = |word: &[u8], _| {
            drained.push(word.to_vec());
            Ok::<_, ()>(())
        };
        words.drain(drain).unwrap();
        assert!(drained.len() == 3_000 && drained.is_sorted() && words.len() == 0);
    }
}
