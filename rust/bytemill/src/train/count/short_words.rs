//! Count words of up to 15 bytes in one open-addressing table, with the word itself as the key.
//!
//! Nine of ten pretokens of English or code are this short. Counting one takes a load, a hash of 16 bytes and usually
//! one probe, without following a pointer.

use super::tally::Tally;

/// Maximum number of bytes in a key; the sixteenth byte is the length.
pub(super) const SHORT_BYTES: usize = 15;

const FREE: u128 = 0; // no word has length 0
const _: () = assert!(SHORT_BYTES == size_of::<u128>() - 1, "the last byte is the length");
const FIRST_SLOTS: usize = 1 << 12;
const GROWTH: usize = 4;

#[derive(Clone, Copy)]
struct Slot {
    key: u128,
    tally: Tally,
}

/// Map from words to tallies.
pub(super) struct ShortWords {
    slots: Vec<Slot>, // a power of two, at most half full
    n_words: usize,
}

impl ShortWords {
    pub(super) fn new() -> Self {
        Self { slots: vec![Slot { key: FREE, tally: Tally::default() }; FIRST_SLOTS], n_words: 0 }
    }

    /// Add to the tally of the word with `key`; return true if the table must grow before the next word.
    #[inline]
    #[must_use]
    pub(super) fn add(&mut self, key: u128, tally: Tally) -> bool {
        let at = self.find(key);
        let slot = &mut self.slots[at];
        if slot.key == key {
            slot.tally.add(tally);
            return false;
        }
        *slot = Slot { key, tally };
        self.n_words += 1;
        self.n_words * 2 > self.slots.len()
    }

    /// Grow the table to four times its size.
    pub(super) fn grow(&mut self) {
        let larger = vec![Slot { key: FREE, tally: Tally::default() }; self.slots.len() * GROWTH];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.key != FREE {
                let at = self.find(slot.key);
                self.slots[at] = slot;
            }
        }
    }

    /// Return the memory of the table in bytes.
    pub(super) fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    /// Return the peak memory of [`Self::grow`] in bytes.
    pub(super) fn memory_to_grow(&self) -> usize {
        self.memory() * (1 + GROWTH)
    }

    /// Pass all words to `each` in the order of their bytes, and clear the table.
    pub(super) fn drain<E>(&mut self, mut each: impl FnMut(&[u8], Tally) -> Result<(), E>) -> Result<(), E> {
        let mut n_words = 0;
        for at in 0..self.slots.len() {
            if self.slots[at].key != FREE {
                self.slots.swap(n_words, at);
                n_words += 1;
            }
        }
        let words = &mut self.slots[..n_words];
        // The length in the last byte distinguishes words that differ only in zero bytes at the end.
        words.sort_unstable_by_key(|slot| slot.key.swap_bytes());
        for slot in words {
            let (word, len) = short_word(slot.key);
            each(&word[..len], slot.tally)?;
            slot.key = FREE;
        }
        self.n_words = 0;
        Ok(())
    }

    /// Return every key with its tally, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u128, Tally)> {
        self.slots.iter().filter(|slot| slot.key != FREE).map(|slot| (slot.key, slot.tally))
    }

    /// Return the slot that holds `key`, or the free slot for it.
    #[inline]
    fn find(&self, key: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash(key) as usize & mask;
        while self.slots[at].key != key && self.slots[at].key != FREE {
            at = (at + 1) & mask;
        }
        at
    }
}

/// Return the key of the word of `len` bytes (1 to 15) at `start` of `text`: its bytes, then its length.
#[inline]
pub(super) fn short_key(text: &[u8], start: usize, len: usize) -> u128 {
    let bytes = if let Some(chunk) = text[start..].first_chunk() {
        u128::from_le_bytes(*chunk) & ((1 << (8 * len)) - 1)
    } else {
        let mut chunk = [0; 16];
        chunk[..len].copy_from_slice(&text[start..start + len]);
        u128::from_le_bytes(chunk)
    };
    bytes | (len as u128) << (8 * SHORT_BYTES)
}

/// Return the word of `key`: its bytes, padded, and its length.
pub(super) fn short_word(key: u128) -> ([u8; 16], usize) {
    (key.to_le_bytes(), (key >> (8 * SHORT_BYTES)) as usize)
}

/// Multiply the halves to 128 bits and fold them, as wyhash does.
#[inline]
pub(super) fn hash(key: u128) -> u64 {
    let (low, high) = (key as u64 ^ 0x9E37_79B9_7F4A_7C15, (key >> 64) as u64 ^ 0xD6E8_FEB8_6659_FD93);
    let product = u128::from(low) * u128::from(high);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_words_apart_and_give_them_back() {
        let text = b"abc\0\0 0123456789abcdefghi";
        for (start, len) in [(0, 1), (0, 3), (0, 4), (0, 5), (6, 15), (20, 4), (24, 1)] {
            let (bytes, len_back) = short_word(short_key(text, start, len));
            assert_eq!(&bytes[..len_back], &text[start..start + len]);
        }
        assert_ne!(short_key(text, 0, 3), short_key(text, 0, 4)); // "abc" and "abc\0"
    }

    #[test]
    fn growing_loses_nothing() {
        let mut words = ShortWords::new();
        for round in 0..2u32 {
            for number in 0..20_000u32 {
                let key = short_key(&number.to_le_bytes(), 0, 4);
                if words.add(key, Tally { count: 1, first: u64::from(round * 20_000 + number) }) {
                    words.grow();
                }
            }
        }
        assert_eq!((words.n_words, words.iter().count()), (20_000, 20_000));
        assert!(words.iter().all(|(_, tally)| tally.count == 2 && tally.first < 20_000));
        let mut drained = Vec::new();
        let drain = |word: &[u8], _| {
            drained.push(word.to_vec());
            Ok::<_, ()>(())
        };
        words.drain(drain).unwrap();
        assert!(drained.len() == 20_000 && drained.is_sorted() && words.iter().next().is_none());
    }
}
