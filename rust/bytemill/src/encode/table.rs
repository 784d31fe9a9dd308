//! A table of fixed size from short byte strings to their ids.
//!
//! A string is its own key, padded with zeros to `WORDS` words of 8 bytes, and lies beside its ids:
//! one look at one cache line answers. Each hash has two places. The first keeps what was there
//! first (the vocabulary, by rank), the second what came last, so the table never grows and never
//! needs emptying; what is pushed out is worked out again when it is met again.

// Each of these is a part of the loop over pretokens, a few instructions inside it.
#![allow(clippy::inline_always)]

use crate::vocab::MAX_ID;
use std::mem::MaybeUninit;
use std::ops::Range;

/// What is at one place: a padded string, its ids, and in the ids' unused highest bytes (`MAX_ID` has
/// 24 bits) the string's length at the first and the number of ids at the second. All zero: nothing.
#[derive(Clone, Copy, Debug)]
struct Slot<const WORDS: usize> {
    key: [u64; WORDS],
    ids: [[u32; 2]; WORDS],
}

const _: () = assert!(MAX_ID < 1 << 24);

/// The two places of a hash, in one cache line up to 16 bytes of key.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Bucket<const WORDS: usize>([Slot<WORDS>; 2]);

/// Two slots for each hash of up to `8 * WORDS` bytes, each with up to `2 * WORDS` ids.
#[derive(Clone, Debug)]
pub(super) struct Table<const WORDS: usize> {
    buckets: Vec<Bucket<WORDS>>,
}

impl<const WORDS: usize> Table<WORDS> {
    pub(super) const MOST_IDS: usize = 2 * WORDS;

    /// An empty table of `n_buckets`, a power of two.
    pub(super) fn new(n_buckets: usize) -> Self {
        let empty = Slot { key: [0; WORDS], ids: [[0; 2]; WORDS] };
        Self { buckets: vec![Bucket([empty; 2]); n_buckets] }
    }

    /// The number of the bucket for `text[span]`, which is asked from memory: it is there when looked at later.
    #[inline(always)]
    pub(super) fn prefetch(&self, text: &[u8], span: Range<usize>) -> u32 {
        let bucket = self.bucket(key(text, span.start, span.end));
        prefetch(&self.buckets[bucket]);
        bucket as u32
    }

    /// The ids of `text[span]`, which has 1 to `8 * WORDS` bytes and belongs to `bucket`: the array of
    /// them and how many of it count.
    #[inline(always)]
    fn get(&self, bucket: usize, text: &[u8], span: Range<usize>) -> Option<([[u32; 2]; WORDS], usize)> {
        let key = key(text, span.start, span.end);
        let slots = &self.buckets[bucket].0;
        // At most one of the two has this key, so this chooses without a branch.
        let slot = &slots[usize::from(is_equal(slots[1].key, key))];
        let mut ids = slot.ids;
        if !is_equal(slot.key, key) || (ids[0][0] >> 24) as usize != span.len() {
            return None;
        }
        let n = (ids[0][1] >> 24) as usize;
        ids[0][0] &= MAX_ID;
        ids[0][1] &= MAX_ID;
        Some((ids, n))
    }

    /// Writes the ids of `text[span]`, which has 1 to `8 * WORDS` bytes, to `out`; how many
    /// count. `bucket` is what [`Table::prefetch`] said; `out` has room for [`Self::MOST_IDS`].
    #[inline(always)]
    pub(super) fn write(
        &self,
        bucket: u32,
        text: &[u8],
        span: Range<usize>,
        out: &mut [MaybeUninit<u32>],
    ) -> Option<usize> {
        let (ids, n) = self.get(bucket as usize, text, span)?;
        for (place, id) in out[..Self::MOST_IDS].iter_mut().zip(ids.as_flattened()) {
            place.write(*id);
        }
        Some(n)
    }

    /// Appends the ids of `text[span]`, if they are here.
    pub(super) fn recall(&self, text: &[u8], span: Range<usize>, out: &mut Vec<u32>) -> bool {
        let bucket = self.bucket(key(text, span.start, span.end));
        let Some((ids, n)) = self.get(bucket, text, span) else { return false };
        out.extend_from_slice(&ids.as_flattened()[..n]);
        true
    }

    /// Remembers the ids of `string` (1 to `8 * WORDS` bytes), if they are few enough.
    pub(super) fn insert(&mut self, string: &[u8], ids: &[u32]) {
        // Without a zero at its end no string is the padded form of another.
        if ids.len() > Self::MOST_IDS || string.ends_with(&[0]) {
            return;
        }
        let mut slot = Slot { key: key(string, 0, string.len()), ids: [[0; 2]; WORDS] };
        for (place, &id) in slot.ids.as_flattened_mut().iter_mut().zip(ids) {
            *place = id;
        }
        slot.ids[0][0] |= (string.len() as u32) << 24;
        slot.ids[0][1] |= (ids.len() as u32) << 24;
        let at = self.bucket(slot.key);
        let slots = &mut self.buckets[at].0;
        let is_free = slots[0].ids[0][0] == 0 || slots[0].key == slot.key;
        slots[usize::from(!is_free)] = slot;
    }

    /// As [`Table::insert`], but leaves things as they are where both places are taken.
    pub(super) fn insert_if_free(&mut self, string: &[u8], ids: &[u32]) {
        if !string.ends_with(&[0]) && self.buckets[self.bucket(key(string, 0, string.len()))].0[1].ids[0][0] == 0 {
            self.insert(string, ids);
        }
    }

    #[inline(always)]
    fn bucket(&self, key: [u64; WORDS]) -> usize {
        let mut hash = 0;
        for word in key {
            let product = u128::from(word ^ hash ^ 0x9E37_79B9_7F4A_7C15) * 0xD6E8_FEB8_6659_FD93;
            hash = (product >> 64) as u64 ^ product as u64;
        }
        hash as usize & (self.buckets.len() - 1)
    }
}

/// Word by word, since keys come word by word: to compare them as one would wait for all to be stored.
#[inline(always)]
fn is_equal<const WORDS: usize>(a: [u64; WORDS], b: [u64; WORDS]) -> bool {
    let mut difference = 0;
    for (a, b) in a.iter().zip(b) {
        difference |= a ^ b;
    }
    difference == 0
}

/// Asks for what `place` refers to, without waiting for it.
#[inline(always)]
#[allow(unsafe_code)]
fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64, and a prefetch of a valid reference (of any address) does not fault.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// `text[start..end]` as words, padded with zeros.
#[inline(always)]
fn key<const WORDS: usize>(text: &[u8], start: usize, end: usize) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    if let Some(loaded) = text.get(start..start + 8 * WORDS) {
        for (word, bytes) in words.iter_mut().zip(loaded.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        for (i, word) in words.iter_mut().enumerate() {
            *word &= mask((end - start).saturating_sub(8 * i));
        }
        words
    } else {
        key_at_the_end(&text[start..end])
    }
}

/// The same where the text ends before all words could be loaded.
#[cold]
fn key_at_the_end<const WORDS: usize>(string: &[u8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(string.chunks(8)) {
        *word = bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    }
    words
}

/// Ones for the first `n_bytes`.
#[inline(always)]
fn mask(n_bytes: usize) -> u64 {
    const MASKS: [u64; 9] =
        [0, 0xFF, 0xFFFF, 0xFF_FFFF, 0xFFFF_FFFF, 0xFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF, 0xFF_FFFF_FFFF_FFFF, u64::MAX];
    MASKS[n_bytes.min(8)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn found<const WORDS: usize>(table: &Table<WORDS>, text: &[u8], start: usize, end: usize) -> Option<Vec<u32>> {
        table
            .get(table.bucket(key(text, start, end)), text, start..end)
            .map(|(ids, n)| ids.as_flattened()[..n].to_vec())
    }

    fn agrees_with_a_map<const WORDS: usize>(strings: &[(Vec<u8>, Vec<u32>)]) -> Result<(), TestCaseError> {
        let mut table = Table::<WORDS>::new(4);
        let mut all = HashMap::new();
        for (string, ids) in strings.iter().filter(|(string, _)| string.len() <= 8 * WORDS) {
            let ids = all.entry(string).or_insert(ids);
            table.insert(string, ids);
            let is_held = ids.len() <= 2 * WORDS && !string.ends_with(&[0]);
            for (before, after) in [(0, 0), (3, 1), (1, 40)] {
                let text = [vec![7; before], string.clone(), vec![9; after]].concat();
                let expected = is_held.then(|| (*ids).clone());
                prop_assert_eq!(found(&table, &text, before, before + string.len()), expected);
            }
        }
        for (string, ids) in all {
            let answer = found(&table, string, 0, string.len());
            prop_assert!(answer.is_none() || answer.as_ref() == Some(ids));
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_was_put_in(strings in prop::collection::vec(
            (prop::collection::vec(0_u8..3, 1..34), prop::collection::vec(0..=MAX_ID, 1..9)), 0..60
        )) {
            agrees_with_a_map::<1>(&strings)?;
            agrees_with_a_map::<2>(&strings)?;
            agrees_with_a_map::<4>(&strings)?;
        }
    }

    #[test]
    fn what_was_there_first_stays() {
        let mut table = Table::<1>::new(1);
        for string in [b"a", b"b", b"c"] {
            table.insert(string, &[string[0].into()]);
        }
        table.insert_if_free(b"d", &[4]);
        let held = [b"a", b"b", b"c", b"d"].map(|string| found(&table, string, 0, 1));
        assert_eq!(held, [Some(vec![97]), None, Some(vec![99]), None]);
    }
}
