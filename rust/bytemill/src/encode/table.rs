//! A table of fixed size from short byte strings to their ids.
//!
//! The key is the string itself, padded with zeros to `WORDS` words of 8 bytes. It is stored next to its ids, so a
//! lookup reads one cache line. Each hash has a home bucket with two slots, and overflows into the two slots of the
//! neighbouring bucket. The neighbour is searched only if the home bucket does not have the string. The earliest
//! entries (the vocabulary, by rank) keep the first slots; a new entry evicts the previous newest one. The table
//! therefore never grows and never needs clearing. An evicted string is merged again when it occurs again.

// Each of these is a part of the loop over pretokens, a few instructions inside it.
#![allow(clippy::inline_always)]

use crate::hints;
use crate::vocab::MAX_ID;
use std::ops::Range;

/// One entry: a padded string and its ids. The ids leave their highest bytes unused (`MAX_ID` has 24 bits);
/// the first two of these bytes say what the entry is:
///
/// | first byte | second byte | entry |
/// |---|---|---|
/// | 0 | 0 | empty |
/// | length of the string | number of ids | the ids are here |
/// | 0 | length of the string | the ids are elsewhere; the first id is the number of their place |
///
/// The first byte is a length or zero, and never a length with a flag in it: a string that is longer than a key has
/// the key of its first bytes, so any other value would be the length of some longer string.
#[derive(Clone, Copy, Debug)]
struct Slot<const WORDS: usize, const PAIRS: usize> {
    key: [u64; WORDS],
    ids: [[u32; 2]; PAIRS],
}

const HIGHEST_BYTE: u32 = 24;
const _: () = assert!(MAX_ID < 1 << HIGHEST_BYTE);

impl<const WORDS: usize, const PAIRS: usize> Slot<WORDS, PAIRS> {
    fn is_empty(&self) -> bool {
        self.ids[0][1] == 0
    }

    fn is_elsewhere(&self) -> bool {
        self.ids[0][0] >> HIGHEST_BYTE == 0 && !self.is_empty()
    }

    /// The length of the string in bytes; zero for an empty entry.
    fn length(&self) -> u32 {
        let here = self.ids[0][0] >> HIGHEST_BYTE;
        if here == 0 { self.ids[0][1] >> HIGHEST_BYTE } else { here }
    }

    /// The ids without what their highest bytes hold, and how many of them count.
    #[inline(always)]
    fn ids(&self) -> ([[u32; 2]; PAIRS], usize) {
        let mut ids = self.ids;
        let n = (ids[0][1] >> HIGHEST_BYTE) as usize;
        ids[0][0] &= MAX_ID;
        ids[0][1] &= MAX_ID;
        (ids, n)
    }
}

/// The two places of a hash, in one cache line up to 16 bytes of key.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket<const WORDS: usize, const PAIRS: usize>([Slot<WORDS, PAIRS>; 2]);

/// Strings of up to `8 * WORDS` bytes, each with up to `2 * PAIRS` ids.
#[derive(Debug)]
pub(super) struct Table<const WORDS: usize, const PAIRS: usize> {
    buckets: Vec<Bucket<WORDS, PAIRS>>,
}

/// The result of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Ids,
    /// The number given to [`Table::refer`].
    Elsewhere(usize),
}

/// A span of text to look up: its first words, their hash, the offset of its first byte and its length in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lookup<const WORDS: usize> {
    key: [u64; WORDS],
    hash: u32,
    start: u32,
    length: u32,
}

impl<const WORDS: usize> Lookup<WORDS> {
    pub(super) const NOTHING: Self = Self { key: [0; WORDS], hash: 0, start: 0, length: 0 };

    /// Its first words, filled up with zeros.
    pub(super) fn key(&self) -> [u64; WORDS] {
        self.key
    }

    /// Return the lookup for `text[start..end]`, below 4 GiB. A string that is too long for a table is not found in it.
    #[inline(always)]
    pub(super) fn new(text: &[u8], start: usize, end: usize) -> Self {
        let key = key(text, start, end);
        Self { key, hash: hash(key), start: start as u32, length: (end - start) as u32 }
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }

    /// Whether its last byte, which is one of its first words', is zero.
    fn ends_with_zero(&self) -> bool {
        let last = self.length as usize - 1;
        (self.key[last / 8] >> (last % 8 * 8)) as u8 == 0
    }
}

impl<const WORDS: usize, const PAIRS: usize> Table<WORDS, PAIRS> {
    pub(super) const MOST_BYTES: usize = 8 * WORDS;
    pub(super) const MOST_IDS: usize = 2 * PAIRS;
    /// Lengths and numbers of ids are kept in a byte each.
    const FITS: () = assert!(Self::MOST_BYTES <= u8::MAX as usize && Self::MOST_IDS <= u8::MAX as usize);

    /// An empty table of `n_buckets`, a power of two and at least two.
    pub(super) fn new(n_buckets: usize) -> Self {
        const { Self::FITS };
        let empty = Slot { key: [0; WORDS], ids: [[0; 2]; PAIRS] };
        let mut buckets = hints::on_huge_pages(n_buckets);
        buckets.resize(n_buckets, Bucket([empty; 2]));
        Self { buckets }
    }

    /// Prefetch the home bucket of `wanted`.
    #[inline(always)]
    pub(super) fn prefetch(&self, wanted: &Lookup<WORDS>) {
        hints::prefetch(&self.buckets, self.home(wanted.hash));
    }

    /// Return the ids of `wanted` if its home bucket holds them: an array, and the number of valid ids in it.
    #[inline(always)]
    pub(super) fn at_home(&self, wanted: &Lookup<WORDS>) -> Option<([[u32; 2]; PAIRS], usize)> {
        let slots = &self.buckets[self.home(wanted.hash)].0;
        // At most one of the two has this key, so this chooses without a branch.
        let slot = &slots[usize::from(is_equal(slots[1].key, wanted.key))];
        if !is_equal(slot.key, wanted.key) || slot.ids[0][0] >> HIGHEST_BYTE != wanted.length {
            return None;
        }
        Some(slot.ids())
    }

    /// Look up `wanted`: append its ids, or return the number of the place that holds them.
    pub(super) fn recall(&self, wanted: &Lookup<WORDS>, out: &mut Vec<u32>) -> Found {
        let Some((bucket, place)) = self.find(wanted) else { return Found::Nothing };
        let slot = &self.buckets[bucket].0[place];
        let (ids, n) = slot.ids();
        if slot.is_elsewhere() {
            return Found::Elsewhere(ids[0][0] as usize);
        }
        out.extend_from_slice(&ids.as_flattened()[..n]);
        Found::Ids
    }

    /// Move `wanted` to its home bucket if it is in the neighbour; the newest entry at home takes its place.
    pub(super) fn promote(&mut self, wanted: &Lookup<WORDS>) {
        let home = self.home(wanted.hash);
        if let Some((bucket, place)) = self.find(wanted)
            && bucket != home
        {
            let there = self.buckets[bucket].0[place];
            self.buckets[bucket].0[place] = std::mem::replace(&mut self.buckets[home].0[1], there);
        }
    }

    /// Keeps the ids of `wanted` (1 to `8 * WORDS` bytes), if they are few enough.
    pub(super) fn insert(&mut self, wanted: &Lookup<WORDS>, ids: &[u32]) {
        if let Some(slot) = Self::here(wanted, ids) {
            self.put(wanted, slot, true);
        }
    }

    /// Keeps the number, up to `MAX_ID`, of the place of the ids of `wanted`.
    pub(super) fn refer(&mut self, wanted: &Lookup<WORDS>, number: usize) {
        debug_assert!(number <= MAX_ID as usize);
        let mut slot = Slot { key: wanted.key, ids: [[0; 2]; PAIRS] };
        slot.ids[0] = [number as u32 & MAX_ID, wanted.length << HIGHEST_BYTE];
        self.put(wanted, slot, true);
    }

    /// Like [`Table::insert`], but store nothing if all slots are taken.
    pub(super) fn insert_if_free(&mut self, wanted: &Lookup<WORDS>, ids: &[u32]) {
        if let Some(slot) = Self::here(wanted, ids) {
            self.put(wanted, slot, false);
        }
    }

    /// The entry of `wanted` with its ids, if there is room for them.
    fn here(wanted: &Lookup<WORDS>, ids: &[u32]) -> Option<Slot<WORDS, PAIRS>> {
        let mut slot = Slot { key: wanted.key, ids: [[0; 2]; PAIRS] };
        slot.ids.as_flattened_mut().get_mut(..ids.len())?.copy_from_slice(ids);
        slot.ids[0][0] |= wanted.length << HIGHEST_BYTE;
        slot.ids[0][1] |= (ids.len() as u32) << HIGHEST_BYTE;
        Some(slot)
    }

    fn put(&mut self, wanted: &Lookup<WORDS>, slot: Slot<WORDS, PAIRS>, may_push_out: bool) {
        // Without a zero at its end no string is the padded form of another.
        if wanted.length as usize > Self::MOST_BYTES || wanted.ends_with_zero() {
            return;
        }
        let home = self.home(wanted.hash);
        let places = [(home, 0), (home, 1), (neighbour(home), 0), (neighbour(home), 1)];
        let fits = |there: &Slot<WORDS, PAIRS>| there.is_empty() || there.key == slot.key;
        if let Some((bucket, place)) = places.into_iter().find(|&(bucket, place)| fits(&self.buckets[bucket].0[place]))
        {
            self.buckets[bucket].0[place] = slot;
        } else if may_push_out {
            // Both buckets serve both hashes, so what is pushed out of one may stay in the other.
            self.buckets[neighbour(home)].0[1] = self.buckets[home].0[1];
            self.buckets[home].0[1] = slot;
        }
    }

    /// The bucket and the place in it where `wanted` is: at home, or next door.
    #[inline]
    fn find(&self, wanted: &Lookup<WORDS>) -> Option<(usize, usize)> {
        let is_it = |slot: &Slot<WORDS, PAIRS>| is_equal(slot.key, wanted.key) && slot.length() == wanted.length;
        let in_bucket = |bucket: usize| Some((bucket, self.buckets[bucket].0.iter().position(is_it)?));
        let home = self.home(wanted.hash);
        // Nothing is ever taken out, and the first place is filled first.
        let is_full = !self.buckets[home].0[1].is_empty();
        in_bucket(home).or_else(|| if is_full { in_bucket(neighbour(home)) } else { None })
    }

    #[inline(always)]
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.buckets.len() - 1)
    }
}

#[inline(always)]
fn hash<const WORDS: usize>(key: [u64; WORDS]) -> u32 {
    let mut hash = 0;
    for pair in key.as_chunks::<2>().0 {
        let product = u128::from(pair[0] ^ hash ^ 0x9E37_79B9_7F4A_7C15) * u128::from(pair[1] ^ 0xD6E8_FEB8_6659_FD93);
        hash = (product >> 64) as u64 ^ product as u64;
    }
    hash as u32
}

/// The bucket that takes what `bucket` has no room for, and the other way round.
#[inline(always)]
fn neighbour(bucket: usize) -> usize {
    bucket ^ 1
}

/// Compare word by word, because keys are built word by word: one wide compare would wait until all are stored.
#[inline(always)]
fn is_equal<const WORDS: usize>(a: [u64; WORDS], b: [u64; WORDS]) -> bool {
    let mut difference = 0;
    for (a, b) in a.iter().zip(b) {
        difference |= a ^ b;
    }
    difference == 0
}

/// The first `8 * WORDS` bytes of `text[start..end]` as words, padded with zeros.
#[inline(always)]
fn key<const WORDS: usize>(text: &[u8], start: usize, end: usize) -> [u64; WORDS] {
    let rest = &text[start..];
    let mut key = words(rest).unwrap_or_else(|| words_at_the_end(rest));
    let masks = words(&MASKS.0[FULL - (end - start).min(8 * WORDS)..]);
    for (word, mask) in key.iter_mut().zip(masks.unwrap_or([0; WORDS])) {
        *word &= mask;
    }
    key
}

/// Return the first `WORDS` words of `bytes`, if it has that many.
#[inline(always)]
fn words<const WORDS: usize>(bytes: &[u8]) -> Option<[u64; WORDS]> {
    bytes.as_chunks().0.first_chunk().map(|words| words.map(u64::from_le_bytes))
}

/// All of `rest`, where the text ends before all words could be loaded.
#[inline]
fn words_at_the_end<const WORDS: usize>(rest: &[u8]) -> [u64; WORDS] {
    let mut bytes = [[0; 8]; WORDS];
    bytes.as_flattened_mut()[..rest.len()].copy_from_slice(rest);
    bytes.map(u64::from_le_bytes)
}

/// `FULL` bytes of ones and as many of zeros: those from `FULL - n` on are a mask for the first `n` bytes.
#[repr(align(64))]
struct Masks([u8; 2 * FULL]);

const FULL: usize = 64;
static MASKS: Masks = {
    let mut masks = [0; 2 * FULL];
    let (ones, _) = masks.split_at_mut(FULL);
    let mut i = 0;
    while i < FULL {
        ones[i] = 0xFF;
        i += 1;
    }
    Masks(masks)
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn whole<const WORDS: usize>(string: &[u8]) -> Lookup<WORDS> {
        Lookup::new(string, 0, string.len())
    }

    fn found<const WORDS: usize, const PAIRS: usize>(
        table: &Table<WORDS, PAIRS>,
        text: &[u8],
        start: usize,
        end: usize,
    ) -> Option<Vec<u32>> {
        let wanted = Lookup::new(text, start, end);
        let mut ids = Vec::new();
        let is_found = table.recall(&wanted, &mut ids) == Found::Ids;
        if let Some((at_home, n)) = table.at_home(&wanted) {
            assert_eq!((is_found, &at_home.as_flattened()[..n]), (true, &ids[..]));
        }
        is_found.then_some(ids)
    }

    fn agrees_with_a_map<const WORDS: usize, const PAIRS: usize>(
        strings: &[(Vec<u8>, Vec<u32>)],
    ) -> Result<(), TestCaseError> {
        let mut table = Table::<WORDS, PAIRS>::new(4);
        let mut all = HashMap::new();
        for (string, ids) in strings.iter().filter(|(string, _)| string.len() <= 8 * WORDS) {
            let ids = all.entry(string).or_insert(ids);
            table.insert(&whole(string), ids);
            let is_held = ids.len() <= 2 * PAIRS && !string.ends_with(&[0]);
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
            agrees_with_a_map::<2, 2>(&strings)?;
            agrees_with_a_map::<4, 3>(&strings)?;
        }
    }

    #[test]
    fn what_is_too_long_is_not_found() {
        let mut table = Table::<2, 2>::new(2);
        table.insert(&whole(&[b'a'; 16]), &[1]);
        assert_eq!(found(&table, &[b'a'; 40], 0, 16), Some(vec![1]));
        assert_eq!(found(&table, &[b'a'; 40], 0, 17), None);
    }

    /// What a table answers for the whole of `string`.
    fn answer<const WORDS: usize, const PAIRS: usize>(
        table: &Table<WORDS, PAIRS>,
        string: &[u8],
    ) -> (Found, Option<Vec<u32>>) {
        let wanted = whole(string);
        let at_home = table.at_home(&wanted).map(|(ids, n)| ids.as_flattened()[..n].to_vec());
        (table.recall(&wanted, &mut Vec::new()), at_home)
    }

    #[test]
    fn an_entry_elsewhere_never_answers_for_a_longer_string() {
        for kept in 1..=16 {
            for last in [1, 127, 255] {
                let mut string = vec![b'h'; kept];
                string[kept - 1] = last;
                let mut table = Table::<2, 2>::new(2);
                table.refer(&whole(&string), MAX_ID as usize);
                assert_eq!(answer(&table, &string), (Found::Elsewhere(MAX_ID as usize), None));
                // The same key: the bytes of the kept string, then zeros (shorter than a key) or anything (longer).
                for length in kept + 1..=600 {
                    string.push(if length <= 16 { 0 } else { b'a' });
                    assert_eq!(answer(&table, &string), (Found::Nothing, None), "{kept} bytes kept, {length} wanted");
                }
            }
        }
    }

    #[test]
    fn an_entry_with_ids_never_answers_for_a_longer_string() {
        for kept in 1..=32 {
            let mut string = vec![b'h'; kept];
            let mut table = Table::<4, 3>::new(2);
            table.insert(&whole(&string), &[MAX_ID; 6]);
            assert_eq!(answer(&table, &string), (Found::Ids, Some(vec![MAX_ID; 6])));
            for length in kept + 1..=600 {
                string.push(if length <= 32 { 0 } else { b'a' });
                assert_eq!(answer(&table, &string), (Found::Nothing, None), "{kept} bytes kept, {length} wanted");
            }
        }
    }

    #[test]
    fn number_zero_is_a_place_like_any_other() {
        let mut table = Table::<2, 2>::new(2);
        table.refer(&whole(b"zero"), 0);
        assert_eq!(answer(&table, b"zero"), (Found::Elsewhere(0), None));
        table.insert_if_free(&whole(b"one"), &[1]);
        assert_eq!(answer(&table, b"zero"), (Found::Elsewhere(0), None));
    }

    #[test]
    fn an_entry_elsewhere_has_a_number() {
        let mut table = Table::<2, 2>::new(2);
        let wanted = whole(b"many");
        table.refer(&wanted, 77);
        assert_eq!(table.recall(&wanted, &mut Vec::new()), Found::Elsewhere(77));
        assert_eq!(table.at_home(&wanted), None);
    }

    #[test]
    fn what_is_next_door_comes_home() {
        let mut table = Table::<2, 2>::new(2);
        for string in [b"a", b"b", b"c", b"d"] {
            table.insert(&whole(string), &[string[0].into()]);
        }
        for string in [b"a", b"b", b"c", b"d", b"a"] {
            let wanted = whole(string);
            table.promote(&wanted);
            assert!(table.at_home(&wanted).is_some());
        }
        assert!([b"a", b"b", b"c", b"d"].iter().all(|string| found(&table, *string, 0, 1).is_some()));
    }

    #[test]
    fn what_was_there_first_stays() {
        let mut table = Table::<2, 2>::new(2);
        let strings: Vec<[u8; 1]> = (b'a'..=b'z').map(|letter| [letter]).collect();
        for string in &strings {
            table.insert(&whole(string), &[string[0].into()]);
        }
        table.insert_if_free(&whole(b"!"), &[4]);
        let held: Vec<bool> = strings.iter().map(|string| found(&table, string, 0, 1).is_some()).collect();
        assert_eq!(held.iter().filter(|held| **held).count(), 4);
        assert!(held[0] && held[25] && found(&table, b"!", 0, 1).is_none());
    }
}
