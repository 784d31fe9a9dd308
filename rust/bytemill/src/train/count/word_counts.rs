//! The counted words in one fixed order, in memory or on disk: the input of merging.

use super::join::{Ranked, joined, place_of_long};
use super::runs::{Merged, Order, Runs, Sorter};
use super::short_words::short_word;
use super::tally::Tally;
use super::word_table::WordTable;
use crate::error::Result;

/// Distinct pretokens and their counts: the input of [`crate::train::train()`].
///
/// The most frequent words come first; equal counts are in text order. The order is the same for any number of threads
/// and any memory limit.
#[derive(Debug)]
pub struct WordCounts {
    n_words: usize,
    n_bytes: usize,
    store: Store,
}

/// Where the words are stored.
#[derive(Debug)]
pub(super) enum Store {
    Memory { bytes: Vec<u8>, words: Vec<Word> },
    Disk(Runs),
}

/// A word, given by its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) end: usize, // in `bytes`; the word starts where the one before it ends
    pub(super) tally: Tally,
}

impl WordCounts {
    /// Return the number of distinct pretokens.
    pub fn len(&self) -> usize {
        self.n_words
    }

    /// Return whether the text was empty.
    pub fn is_empty(&self) -> bool {
        self.n_words == 0
    }

    /// Return the total length of all distinct pretokens in bytes.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// Call `each` with every pretoken and its count, most frequent first. Return an error if the pretokens are on
    /// disk, because of a memory limit, and cannot be read.
    pub fn for_each(&self, mut each: impl FnMut(&[u8], u64)) -> Result<()> {
        self.for_each_by(Order::Frequency, SORT_BYTES, |word, tally| {
            each(word, tally.count);
            Ok(())
        })
    }

    /// Join the words of tables with about `limit` bytes of memory; their tallies must contain positions in the whole
    /// text. Call `ask` regularly, and return an error if it fails.
    pub(super) fn of(counted: Vec<Vec<WordTable>>, limit: usize, ask: &mut dyn FnMut() -> Result<()>) -> Result<Self> {
        let memory: usize = counted.iter().flatten().map(WordTable::memory).sum();
        let fits = limit == usize::MAX || memory <= limit / 4; // joining and sorting takes four times the memory
        if fits && !counted.iter().flatten().any(WordTable::has_spilled) {
            return Ok(Self::in_memory(counted));
        }
        let tables: Vec<_> = counted.into_iter().flatten().collect();
        if let [table] = &tables[..]
            && !table.has_spilled()
        {
            return Self::from_one(table, limit, ask);
        }
        let runs = tables.into_iter().map(WordTable::into_runs).collect::<Result<Vec<_>>>()?;
        Self::on_disk(&runs, limit, ask)
    }

    /// Create counts from stored words that are already sorted by frequency.
    pub(super) fn stored(n_words: usize, n_bytes: usize, store: Store) -> Self {
        Self { n_words, n_bytes, store }
    }

    /// Return the memory of the words in bytes.
    pub(in crate::train) fn memory(&self) -> usize {
        match &self.store {
            Store::Memory { bytes, words } => bytes.len() + size_of_val(&words[..]),
            Store::Disk(_) => 0,
        }
    }

    /// Call `each` with every word in the given order, until it fails; sorting takes about `limit` bytes of memory.
    pub(in crate::train) fn for_each_by(
        &self,
        order: Order,
        limit: usize,
        each: impl FnMut(&[u8], Tally) -> Result<()>,
    ) -> Result<()> {
        match (&self.store, order) {
            (Store::Disk(runs), Order::Frequency) => for_each_merged(std::slice::from_ref(runs), order, limit, each),
            (Store::Disk(runs), _) => {
                let mut sorter = Sorter::new(order, limit / 2)?;
                let mut merged = Merged::new(std::slice::from_ref(runs), Order::Frequency, limit / 2)?;
                let mut word = Vec::new();
                while let Some(tally) = merged.next(&mut word)? {
                    sorter.push(&word, tally)?;
                }
                for_each_merged(&[sorter.finish()?], order, limit, each)
            }
            (Store::Memory { words, .. }, Order::Frequency) => self.hand_over(0..words.len(), each),
            (Store::Memory { words, .. }, _) => {
                let mut indices: Vec<_> = (0..words.len()).collect();
                indices.sort_unstable_by(|&a, &b| order.compare(self.get(a), self.get(b)));
                self.hand_over(indices, each)
            }
        }
    }

    fn hand_over(
        &self,
        indices: impl IntoIterator<Item = usize>,
        mut each: impl FnMut(&[u8], Tally) -> Result<()>,
    ) -> Result<()> {
        indices.into_iter().map(|index| self.get(index)).try_for_each(|(word, tally)| each(word, tally))
    }

    /// Return the word at `index` of the words in memory.
    fn get(&self, index: usize) -> (&[u8], Tally) {
        let Store::Memory { bytes, words } = &self.store else { return (&[], Tally::default()) };
        let start = if index == 0 { 0 } else { words[index - 1].end };
        (&bytes[start..words[index].end], words[index].tally)
    }

    fn in_memory(counted: Vec<Vec<WordTable>>) -> Self {
        let (shares, ranked) = joined(counted);
        let (mut bytes, mut words) = (Vec::new(), Vec::with_capacity(ranked.len()));
        for Ranked { tally, key } in ranked {
            if let (word, len @ 1..) = short_word(key) {
                bytes.extend_from_slice(&word[..len]);
            } else {
                let (share, index) = place_of_long(key);
                bytes.extend_from_slice(shares[share].table.long.get(index).0);
            }
            words.push(Word { end: bytes.len(), tally });
        }
        Self { n_words: words.len(), n_bytes: bytes.len(), store: Store::Memory { bytes, words } }
    }

    /// Sort the words of a table by frequency, on disk.
    fn from_one(table: &WordTable, limit: usize, ask: &mut dyn FnMut() -> Result<()>) -> Result<Self> {
        let mut sorter = Sorter::new(Order::Frequency, limit / 2)?;
        let (mut n_words, mut n_bytes) = (0, 0);
        table.for_each(|word, tally| {
            n_words += 1;
            n_bytes += word.len();
            if n_words % WORDS_BEFORE_ASKING == 0 {
                ask()?;
            }
            sorter.push(word, tally)
        })?;
        Ok(Self { n_words, n_bytes, store: Store::Disk(sorter.finish()?) })
    }

    /// Join runs sorted by word, then sort by frequency.
    fn on_disk(runs: &[Runs], limit: usize, ask: &mut dyn FnMut() -> Result<()>) -> Result<Self> {
        let mut sorter = Sorter::new(Order::Frequency, limit / 2)?;
        let (mut n_words, mut n_bytes) = (0, 0);
        let mut merged = Merged::new(runs, Order::Word, limit / 4)?;
        let mut word = Vec::new();
        while let Some(tally) = merged.next(&mut word)? {
            sorter.push(&word, tally)?;
            n_words += 1;
            n_bytes += word.len();
            if n_words % WORDS_BEFORE_ASKING == 0 {
                ask()?;
            }
        }
        Ok(Self { n_words, n_bytes, store: Store::Disk(sorter.finish()?) })
    }
}

/// Memory for reading from disk, if the caller sets no limit.
pub(super) const SORT_BYTES: usize = 16 << 20;
/// Number of words that are joined in a few tens of milliseconds.
const WORDS_BEFORE_ASKING: usize = 1 << 16;

fn for_each_merged(
    runs: &[Runs],
    order: Order,
    limit: usize,
    mut each: impl FnMut(&[u8], Tally) -> Result<()>,
) -> Result<()> {
    let mut merged = Merged::new(runs, order, limit)?;
    let mut word = Vec::new();
    while let Some(tally) = merged.next(&mut word)? {
        each(&word, tally)?;
    }
    Ok(())
}
