//! Counts the pretokens of documents on one thread.

use super::words::{Tally, WordCounts, WordTable};
use crate::error::Result;
use crate::split::Splitter;

/// Gathers pretoken counts, document by document. Documents never share a pretoken.
///
/// ```
/// use bytemill::{split::Splitter, train::Counter};
///
/// let mut counter = Counter::new(Splitter::new(Some("gpt2"))?);
/// counter.add(b"to be or not to be")?;
/// let counts = counter.into_counts();
/// let words: Vec<_> = counts.iter().collect();
/// assert_eq!(words[..2], [(&b" be"[..], 2), (&b"to"[..], 1)]);
/// # Ok::<(), bytemill::Error>(())
/// ```
pub struct Counter {
    splitter: Splitter,
    table: WordTable,
    position: u64,
}

impl Counter {
    /// A counter of what `splitter` makes of documents.
    pub fn new(splitter: Splitter) -> Self {
        Self { splitter, table: WordTable::new(), position: 0 }
    }

    /// Counts the pretokens of one more document. Fails when the split pattern does.
    pub fn add(&mut self, document: &[u8]) -> Result<()> {
        self.add_at(document, self.position)
    }

    /// Takes in what another counter has counted, as if its documents came after this one's.
    pub fn merge(&mut self, later: &Self) {
        self.table.absorb(&later.table, self.position);
        self.position += later.position;
    }

    /// The counts, in their fixed order.
    pub fn into_counts(self) -> WordCounts {
        self.table.into()
    }

    /// Counts a document that starts at `position` of all documents put together.
    pub(super) fn add_at(&mut self, document: &[u8], position: u64) -> Result<()> {
        let mut start = 0;
        let table = &mut self.table;
        self.splitter.split(document, |word| {
            // Words follow each other without gaps, so that each is known by its place in the
            // document, from where its key can be read in one load.
            table.add(document, start, word.len(), Tally { count: 1, first: position + start as u64 });
            start += word.len();
        })?;
        self.position = position + document.len() as u64;
        Ok(())
    }

    /// Takes in the counts of another thread, which knew the positions of its documents.
    pub(super) fn absorb(&mut self, other: &Self) {
        self.table.absorb(&other.table, 0);
    }
}
