//! Distinct words with their counts: gathered in a table, then laid out in one fixed order.

use super::long_words::LongWords;
use super::short_words::{SHORT_BYTES, ShortWords, short_key, short_word};
use std::cmp::Reverse;

/// How often a word occurs, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Occurrences.
    pub(super) count: u64,
    /// Offset of the first occurrence in all documents put together.
    pub(super) first: u64,
}

impl Tally {
    /// Joins the tallies of one word in two texts.
    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.first = self.first.min(other.first);
    }
}

/// Words of any length with their tallies, in no order.
pub(super) struct WordTable {
    short: ShortWords,
    long: LongWords,
}

impl WordTable {
    pub(super) fn new() -> Self {
        Self { short: ShortWords::new(), long: LongWords::new() }
    }

    /// Adds to the tally of the word of `len` bytes, at least one, at `start` of `text`.
    #[inline]
    pub(super) fn add(&mut self, text: &[u8], start: usize, len: usize, tally: Tally) {
        if len <= SHORT_BYTES {
            self.short.add(short_key(text, start, len), tally);
        } else {
            self.long.add(&text[start..start + len], tally);
        }
    }

    /// Takes in the words of another table, whose text starts at `shift`.
    pub(super) fn absorb(&mut self, other: &Self, shift: u64) {
        let shifted = |tally: Tally| Tally { first: tally.first + shift, ..tally };
        for (key, tally) in other.short.iter() {
            self.short.add(key, shifted(tally));
        }
        for index in 0..other.long.len() {
            let (word, tally) = other.long.get(index);
            self.long.add(word, shifted(tally));
        }
    }
}

/// Distinct pretokens and how often each occurs: what [`super::train`] learns from.
///
/// The most frequent come first, equals in the order of the text, whatever the number of threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordCounts {
    bytes: Vec<u8>,
    words: Vec<Word>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    end: usize, // in `bytes`; it starts where the one before ends
    tally: Tally,
}

impl WordCounts {
    /// How many distinct pretokens there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether the text was empty.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Bytes of all distinct pretokens together.
    pub fn n_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each pretoken with its count, the most frequent first.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The pretoken at `index` with its count.
    pub(super) fn get(&self, index: usize) -> (&[u8], u64) {
        let start = if index == 0 { 0 } else { self.words[index - 1].end };
        (&self.bytes[start..self.words[index].end], self.words[index].tally.count)
    }

    /// Indices of all pretokens in the order in which the text first holds them.
    pub(super) fn in_text_order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.len()).collect();
        order.sort_unstable_by_key(|&index| self.words[index].tally.first);
        order
    }
}

impl From<WordTable> for WordCounts {
    fn from(WordTable { short, long }: WordTable) -> Self {
        // A long word goes by its index, which a 16-byte key could never be: its length is 0.
        let long_words = (0..long.len()).map(|index| (index as u128, long.get(index).1));
        let order_of = |(key, tally): (u128, Tally)| (Reverse(tally.count), tally.first, key);
        let mut order: Vec<_> = short.iter().chain(long_words).map(order_of).collect();
        order.sort_unstable();
        let mut counts = Self { bytes: Vec::new(), words: Vec::with_capacity(short.len() + long.len()) };
        for (Reverse(count), first, key) in order {
            match short_word(key) {
                (_, 0) => counts.bytes.extend_from_slice(long.get(key as usize).0),
                (word, len) => counts.bytes.extend_from_slice(&word[..len]),
            }
            counts.words.push(Word { end: counts.bytes.len(), tally: Tally { count, first } });
        }
        counts
    }
}
