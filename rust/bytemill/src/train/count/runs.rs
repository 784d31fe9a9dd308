//! Words on disk: sorted runs in an unnamed temporary file, and their merge.
//!
//! Words that do not fit in memory are written in sorted runs. The merge reads all runs in parallel and returns the
//! words in order, adding the tallies of equal words. A word is stored as its count, its first place and its length (8,
//! 8 and 4 bytes, little-endian), then its bytes.

use super::tally::Tally;
use crate::error::{Error, Result};
use crate::platform;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::env::temp_dir;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;

const HEAD_BYTES: usize = 20;
const LARGEST_BUFFER_BYTES: usize = 1 << 18;

/// The sort order of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::train) enum Order {
    /// By their bytes.
    Word,
    /// Most frequent first; equal counts by their first place.
    Frequency,
    /// By their first place.
    Text,
}

impl Order {
    /// Compare two words with their tallies.
    #[inline]
    pub(super) fn compare(self, a: (&[u8], Tally), b: (&[u8], Tally)) -> Ordering {
        match self {
            Self::Word => a.0.cmp(b.0),
            Self::Frequency => b.1.count.cmp(&a.1.count).then(a.1.first.cmp(&b.1.first)),
            Self::Text => a.1.first.cmp(&b.1.first),
        }
    }
}

/// Sorted runs in one file.
#[derive(Debug)]
pub(super) struct Runs {
    file: BufWriter<File>,
    runs: Vec<Range<u64>>,
}

impl Runs {
    /// Create an empty file in the system's folder for temporary files.
    pub(super) fn new() -> Result<Self> {
        let file = tempfile::tempfile().map_err(failed)?;
        Ok(Self { file: BufWriter::with_capacity(LARGEST_BUFFER_BYTES, file), runs: Vec::new() })
    }

    /// Write a run; `words` passes its words in order.
    pub(super) fn write_run(
        &mut self,
        words: impl FnOnce(&mut dyn FnMut(&[u8], Tally) -> io::Result<()>) -> io::Result<()>,
    ) -> Result<()> {
        let start = self.runs.last().map_or(0, |run| run.end);
        let file = &mut self.file;
        file.seek(SeekFrom::Start(start)).map_err(failed)?; // on some systems a read at a position moves the cursor
        words(&mut |word, tally| {
            let len = u32::try_from(word.len()).map_err(|_| io::Error::other("a pretoken of 4 GiB or more"))?;
            file.write_all(&tally.count.to_le_bytes())?;
            file.write_all(&tally.first.to_le_bytes())?;
            file.write_all(&len.to_le_bytes())?;
            file.write_all(word)
        })
        .map_err(failed)?;
        self.file.flush().map_err(failed)?;
        let end = self.file.stream_position().map_err(failed)?;
        self.runs.push(start..end);
        Ok(())
    }
}

/// An iterator over the words of several sorted runs, in one order.
pub(super) struct Merged<'r> {
    heap: BinaryHeap<RunReader<'r>>,
}

impl<'r> Merged<'r> {
    /// Merge the runs in `files`, each sorted by `order`, with about `buffer_bytes` of memory.
    pub(super) fn new(files: &'r [Runs], order: Order, buffer_bytes: usize) -> Result<Self> {
        let n_runs: usize = files.iter().map(|file| file.runs.len()).sum();
        let each_bytes = (buffer_bytes / n_runs.max(1)).clamp(1 << 12, LARGEST_BUFFER_BYTES);
        let mut heap = BinaryHeap::with_capacity(n_runs);
        for runs in files {
            for range in &runs.runs {
                let mut reader = RunReader::new(runs.file.get_ref(), range.clone(), order, each_bytes);
                if reader.advance()? {
                    heap.push(reader);
                }
            }
        }
        Ok(Self { heap })
    }

    /// Write the next word to `word` and return its tally; `None` at the end.
    pub(super) fn next(&mut self, word: &mut Vec<u8>) -> Result<Option<Tally>> {
        let Some(mut tally) = self.take(word)? else { return Ok(None) };
        let mut same = Vec::new();
        while self.heap.peek().is_some_and(|next| next.word == *word) {
            if let Some(other) = self.take(&mut same)? {
                tally.add(other);
            }
        }
        Ok(Some(tally))
    }

    fn take(&mut self, word: &mut Vec<u8>) -> Result<Option<Tally>> {
        let Some(mut first) = self.heap.peek_mut() else { return Ok(None) };
        std::mem::swap(word, &mut first.word);
        let tally = first.tally;
        if !first.advance()? {
            PeekMut::pop(first);
        }
        Ok(Some(tally))
    }
}

/// Reads a run, word by word. The greatest reader in the heap is the one with the first word.
struct RunReader<'r> {
    file: &'r File,
    unread: Range<u64>,
    buffer: Vec<u8>,
    at: usize, // offset in `buffer`
    buffer_bytes: usize,
    order: Order,
    word: Vec<u8>,
    tally: Tally,
}

impl<'r> RunReader<'r> {
    fn new(file: &'r File, unread: Range<u64>, order: Order, buffer_bytes: usize) -> Self {
        let (buffer, word, tally) = (Vec::new(), Vec::new(), Tally::default());
        Self { file, unread, buffer, at: 0, buffer_bytes, order, word, tally }
    }

    /// Go to the next word; return false at the end.
    fn advance(&mut self) -> Result<bool> {
        if self.at == self.buffer.len() && self.unread.is_empty() {
            return Ok(false);
        }
        self.need(HEAD_BYTES)?;
        let head = &self.buffer[self.at..self.at + HEAD_BYTES];
        let number = |from: usize| head[from..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        self.tally = Tally { count: number(0), first: number(8) };
        let len = head.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes)) as usize;
        self.need(HEAD_BYTES + len)?;
        self.word.clear();
        self.word.extend_from_slice(&self.buffer[self.at + HEAD_BYTES..][..len]);
        self.at += HEAD_BYTES + len;
        Ok(true)
    }

    /// Read until the buffer holds at least `bytes`.
    fn need(&mut self, bytes: usize) -> Result<()> {
        let there = self.buffer.len() - self.at;
        if there >= bytes {
            return Ok(());
        }
        self.buffer.drain(..self.at);
        self.at = 0;
        let left = self.unread.end - self.unread.start;
        let more = left.min((bytes - there).max(self.buffer_bytes) as u64);
        self.buffer.resize(there + more as usize, 0);
        platform::read_exact_at(self.file, &mut self.buffer[there..], self.unread.start).map_err(failed)?;
        self.unread.start += more;
        Ok(())
    }
}

impl Ord for RunReader<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.compare((&other.word, other.tally), (&self.word, self.tally))
    }
}

impl PartialOrd for RunReader<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RunReader<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RunReader<'_> {}

/// Sorts words: writes a run each time its memory is full.
pub(super) struct Sorter {
    order: Order,
    limit: usize, // bytes
    bytes: Vec<u8>,
    words: Vec<(Range<usize>, Tally)>,
    runs: Runs,
}

impl Sorter {
    pub(super) fn new(order: Order, limit: usize) -> Result<Self> {
        Ok(Self { order, limit, bytes: Vec::new(), words: Vec::new(), runs: Runs::new()? })
    }

    pub(super) fn push(&mut self, word: &[u8], tally: Tally) -> Result<()> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(word);
        self.words.push((start..self.bytes.len(), tally));
        let full = self.bytes.len() + self.words.len() * size_of_val(&self.words[0]) >= self.limit;
        if full { self.write() } else { Ok(()) }
    }

    /// Write the remaining words and return all runs.
    pub(super) fn finish(mut self) -> Result<Runs> {
        self.write()?;
        Ok(self.runs)
    }

    fn write(&mut self) -> Result<()> {
        let Self { order, bytes, words, runs, .. } = self;
        let key = |(range, tally): &(Range<usize>, Tally)| (&bytes[range.clone()], *tally);
        words.sort_unstable_by(|a, b| order.compare(key(a), key(b)));
        runs.write_run(|put| words.iter().try_for_each(|(range, tally)| put(&bytes[range.clone()], *tally)))?;
        words.clear();
        bytes.clear();
        Ok(())
    }
}

/// Return the error for a failed operation on the temporary file.
fn failed(error: io::Error) -> Error {
    Error::io(temp_dir())(error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn merging_gives_every_word_once_in_order(
            words in prop::collection::vec(("[ab]{0,3}|[a-c]{40}", 1u64..5), 0..60),
            limit in 0usize..2_000,
        ) {
            let mut expected: BTreeMap<&[u8], Tally> = BTreeMap::new();
            let mut sorter = Sorter::new(Order::Word, limit).unwrap();
            for (first, (word, count)) in (0..).zip(&words) {
                let tally = Tally { count: *count, first };
                sorter.push(word.as_bytes(), tally).unwrap();
                expected.entry(word.as_bytes()).and_modify(|known| known.add(tally)).or_insert(tally);
            }
            let files = [sorter.finish().unwrap()];
            let mut merged = Merged::new(&files, Order::Word, 0).unwrap();
            let (mut found, mut word) = (Vec::new(), Vec::new());
            while let Some(tally) = merged.next(&mut word).unwrap() {
                found.push((word.clone(), tally));
            }
            // Words that occur twice in one run are joined too, because they are neighbours.
            prop_assert_eq!(found, expected.into_iter().map(|(word, tally)| (word.to_vec(), tally)).collect::<Vec<_>>());
        }
    }
}
