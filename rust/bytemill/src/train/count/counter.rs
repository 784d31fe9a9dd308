//! Count the pretokens of documents on one thread.

use super::document_unit::DocumentUnit;
use super::tally::Tally;
use super::word_counts::WordCounts;
use super::word_table::{WordTable, table_of};
use crate::error::Result;
use crate::split::Splitter;

/// Counts pretokens, document by document. A pretoken never crosses the end of a document.
///
/// ```
/// use bytemill::{split::Splitter, train::Counter};
///
/// let mut counter = Counter::new(Splitter::new(Some("gpt2"))?);
/// counter.add(b"to be or not to be")?;
/// counter.add_word(b"to", 40);
/// let mut words = Vec::new();
/// counter.into_counts()?.for_each(|word, count| words.push((word.to_vec(), count)))?;
/// assert_eq!(words[..2], [(b"to".to_vec(), 41), (b" be".to_vec(), 2)]);
/// # Ok::<(), bytemill::Error>(())
/// ```
pub struct Counter {
    splitter: Splitter,
    feed: DocumentUnit,
    tables: Vec<WordTable>, // the hash of a word selects its table
    position: u64,
}

impl Counter {
    /// Create a counter that splits documents with `splitter`.
    pub fn new(splitter: Splitter) -> Self {
        Self::sharing_out(splitter, DocumentUnit::Documents, vec![WordTable::new(usize::MAX)])
    }

    /// Create a counter as [`Self::new`] does, with words distributed over `tables`; their number must be a power of
    /// two. If lines are documents, callers add the lines from [`super::pieces::first_lines`] together.
    pub(super) fn sharing_out(splitter: Splitter, feed: DocumentUnit, tables: Vec<WordTable>) -> Self {
        Self { splitter, feed, tables, position: 0 }
    }

    /// Count the pretokens of one more document. Return an error if the split pattern fails.
    pub fn add(&mut self, document: &[u8]) -> Result<()> {
        self.add_at(document, self.position)
    }

    /// Add `count` occurrences of `word` as one pretoken; the splitter is not applied.
    pub fn add_word(&mut self, word: &[u8], count: u64) {
        if !word.is_empty() && count > 0 {
            let table = table_of(word, 0, word.len(), self.tables.len());
            self.tables[table].add(word, 0, word.len(), Tally { count, first: self.position });
        }
        self.position += word.len() as u64;
    }

    /// Add the counts of another counter, as if its documents came after this one's.
    pub fn merge(&mut self, later: &Self) {
        for (table, later) in self.tables.iter_mut().zip(&later.tables) {
            table.absorb(later, self.position);
        }
        self.position += later.position;
    }

    /// Return the counts, in their fixed order.
    pub fn into_counts(self) -> Result<WordCounts> {
        WordCounts::of(vec![self.tables], usize::MAX, &mut || Ok(()))
    }

    /// Count a document that starts at `position` in the concatenation of all documents.
    pub(super) fn add_at(&mut self, document: &[u8], position: u64) -> Result<()> {
        let mut start = 0;
        let (tables, by_line) = (&mut self.tables, self.feed == DocumentUnit::Lines);
        // Words follow each other without gaps, so each is identified by its place in the document, and its key can be
        // read from there with one load.
        let mut add = |length| {
            let table = table_of(document, start, length, tables.len());
            tables[table].add(document, start, length, Tally { count: 1, first: position + start as u64 });
            start += length;
        };
        self.splitter.split(document, |word| {
            let ends_a_line = by_line && word.len() > 1 && word[0] == b'\n';
            if ends_a_line {
                add(1);
            }
            add(word.len() - usize::from(ends_a_line));
        })?;
        self.position = position + document.len() as u64;
        self.tables.iter_mut().try_for_each(WordTable::check)
    }

    /// Return the counted words, for [`WordCounts::of`].
    pub(super) fn into_tables(self) -> Vec<WordTable> {
        self.tables
    }
}
