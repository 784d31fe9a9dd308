//! Distinct words with their counts in a table; when the table is full, its words go to disk.

use super::long_words::{self, LongWords};
use super::runs::Runs;
use super::short_words::{self, SHORT_BYTES, ShortWords, short_key, short_word};
use super::tally::Tally;
use crate::error::{Error, Result};

/// Return which of `n_tables`, a power of two, holds the word of `len` bytes at `start` of `text`.
#[inline]
pub(super) fn table_of(text: &[u8], start: usize, len: usize, n_tables: usize) -> usize {
    if n_tables == 1 {
        return 0;
    }
    let hash = if len <= SHORT_BYTES {
        short_words::hash(short_key(text, start, len))
    } else {
        long_words::hash(&text[start..start + len])
    };
    (hash >> 32) as usize & (n_tables - 1) // the tables use the lower bits
}

/// Words of any length with their tallies, without order.
pub(super) struct WordTable {
    pub(super) short: ShortWords,
    pub(super) long: LongWords,
    limit: usize, // bytes of memory
    runs: Option<Runs>,
    failure: Option<Error>,
}

impl WordTable {
    /// Create an empty table that takes at most about `limit` bytes of memory, plus the length of one word.
    pub(super) fn new(limit: usize) -> Self {
        Self { short: ShortWords::new(), long: LongWords::new(), limit, runs: None, failure: None }
    }

    /// Return the table without its limit, so that it never goes to disk.
    pub(super) fn without_limit(self) -> Self {
        Self { limit: usize::MAX, ..self }
    }

    /// Add to the tally of the word of `len` bytes, at least one, at `start` of `text`.
    #[inline]
    pub(super) fn add(&mut self, text: &[u8], start: usize, len: usize, tally: Tally) {
        if len <= SHORT_BYTES {
            self.add_short(short_key(text, start, len), tally);
        } else {
            self.add_long(&text[start..start + len], tally);
        }
    }

    /// Add the words of another table, whose text starts at `shift`. The other table must have no words on disk.
    pub(super) fn absorb(&mut self, other: &Self, shift: u64) {
        let shifted = |tally: Tally| Tally { first: tally.first + shift, ..tally };
        for (key, tally) in other.short.iter() {
            self.add_short(key, shifted(tally));
        }
        for index in 0..other.long.len() {
            let (word, tally) = other.long.get(index);
            self.add_long(word, shifted(tally));
        }
    }

    /// Call `each` with every word in memory, in no particular order, until it fails.
    pub(super) fn for_each(&self, mut each: impl FnMut(&[u8], Tally) -> Result<()>) -> Result<()> {
        for (key, tally) in self.short.iter() {
            let (word, len) = short_word(key);
            each(&word[..len], tally)?;
        }
        (0..self.long.len()).map(|index| self.long.get(index)).try_for_each(|(word, tally)| each(word, tally))
    }

    /// Return the error of an earlier write to disk, if there was one.
    pub(super) fn check(&mut self) -> Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Return the memory of the table in bytes.
    pub(super) fn memory(&self) -> usize {
        self.short.memory() + self.long.memory()
    }

    /// Return whether words of this table are on disk.
    pub(super) fn has_spilled(&self) -> bool {
        self.runs.is_some()
    }

    /// Write all words to disk, in runs sorted by word.
    pub(super) fn into_runs(mut self) -> Result<Runs> {
        self.spill()?;
        self.runs.take().map_or_else(Runs::new, Ok)
    }

    #[inline]
    fn add_short(&mut self, key: u128, tally: Tally) {
        if self.short.add(key, tally) {
            self.make_room();
        }
    }

    fn add_long(&mut self, word: &[u8], tally: Tally) {
        if self.long.add(word, tally) && self.short.memory() + self.long.memory_to_grow() > self.limit {
            self.spill_or_fail();
        }
    }

    #[cold]
    fn make_room(&mut self) {
        if self.short.memory_to_grow() + self.long.memory() <= self.limit {
            self.short.grow();
        } else {
            self.spill_or_fail();
        }
    }

    fn spill_or_fail(&mut self) {
        if let Err(error) = self.spill() {
            // The hot path cannot return an error; `check` returns it after the document.
            (self.short, self.long) = (ShortWords::new(), LongWords::new());
            self.failure.get_or_insert(error);
        }
    }

    fn spill(&mut self) -> Result<()> {
        let runs = match &mut self.runs {
            Some(runs) => runs,
            none => none.insert(Runs::new()?),
        };
        runs.write_run(|put| self.short.drain(put))?;
        runs.write_run(|put| self.long.drain(put))
    }
}
