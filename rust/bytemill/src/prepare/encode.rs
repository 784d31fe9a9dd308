//! The second pass: documents in shuffled order, encoded on threads, handed over in order.
//!
//! Documents travel in units of a few hundred kilobytes. A round of units is encoded while the
//! round before it is written; nothing outlives a round, so memory is bounded by two of them.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::scan::Corpus;
use super::{EncodeDocument, PrepareOptions};
use crate::error::{Error, Result};
use crate::shard::order::Permutation;

const LARGEST_UNIT_BYTES: u64 = 256 << 10;
const SMALLEST_UNIT_BYTES: u64 = 4 << 10;
/// More threads are never worth their stacks.
const MAX_THREADS: usize = 1_024;
/// Units a thread has in a round, so that unequal ones even out.
const UNITS_A_THREAD: u64 = 4;
/// Memory a byte of text may cost: two rounds of four-byte ids, a token a byte, in vectors half full; its line and text.
const MEMORY_A_BYTE: u64 = 18;

/// The documents to encode, and on how many threads.
pub(super) struct EncodeJob<'a, T> {
    corpus: &'a Corpus,
    tokenizer: &'a T,
    order: &'a Permutation,
    n_threads: usize,
    unit_bytes: u64,
}

/// The ids of some consecutive documents.
pub(super) struct Encoded {
    ids: Vec<u32>,
    ends: Vec<usize>,
    /// Bytes of input that they were.
    pub(super) input_bytes: u64,
}

impl Encoded {
    /// The ids of each document, in order.
    pub(super) fn documents(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.ids[start..end])
    }
}

impl<'a, T: EncodeDocument> EncodeJob<'a, T> {
    /// Sizes the units after the memory allowed.
    pub(super) fn new(
        corpus: &'a Corpus,
        tokenizer: &'a T,
        order: &'a Permutation,
        options: &PrepareOptions,
    ) -> Result<Self> {
        let n_threads = match options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n.min(MAX_THREADS),
        };
        let units = n_threads as u64 * UNITS_A_THREAD;
        let needed = corpus.index_bytes()
            + MEMORY_A_BYTE * (corpus.document_bytes(corpus.largest()) + units * SMALLEST_UNIT_BYTES);
        let spare = options.max_memory.map(|limit| limit.checked_sub(needed));
        let unit_bytes = match spare {
            None => LARGEST_UNIT_BYTES,
            Some(Some(spare)) => (spare / MEMORY_A_BYTE / units + SMALLEST_UNIT_BYTES).min(LARGEST_UNIT_BYTES),
            Some(None) => return Err(too_little_memory(corpus, options, needed)),
        };
        Ok(Self { corpus, tokenizer, order, n_threads, unit_bytes })
    }

    /// Calls `sink` with all documents' ids, in order, on the caller's thread.
    pub(super) fn run(&self, mut sink: impl FnMut(&Encoded) -> Result<()>) -> Result<()> {
        let mut next = 0;
        let mut before = Vec::new();
        loop {
            let round = self.next_round(&mut next);
            let taken = AtomicUsize::new(0);
            let encoded = thread::scope(|scope| {
                let work = || self.encode_units(&round, &taken);
                let n_workers = self.n_threads.min(round.len());
                // Where the system gives no more threads, those that are there do the work, or this one.
                let spawn = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
                let workers: Vec<_> = (0..n_workers).map_while(spawn).collect();
                before.iter().try_for_each(&mut sink)?;
                let mut units = if workers.is_empty() { work() } else { Vec::new() };
                units.extend(workers.into_iter().flat_map(|worker| join(worker.join())));
                units.sort_unstable_by_key(|(number, _)| *number);
                units.into_iter().map(|(_, encoded)| encoded).collect::<Result<Vec<_>>>()
            })?;
            if encoded.is_empty() {
                return Ok(());
            }
            before = encoded;
        }
    }

    /// Ranges of positions that make up the next round; none at the end.
    fn next_round(&self, next: &mut u64) -> Vec<Range<u64>> {
        let mut round = Vec::new();
        let mut left = self.unit_bytes * self.n_threads as u64 * UNITS_A_THREAD;
        while *next < self.corpus.n_documents() && left > 0 {
            let start = *next;
            let mut bytes = 0;
            while *next < self.corpus.n_documents() && bytes < self.unit_bytes {
                // Empty lines are no documents, so each adds at least a byte.
                bytes += self.corpus.document_bytes(self.order.at(*next));
                *next += 1;
            }
            round.push(start..*next);
            left = left.saturating_sub(bytes);
        }
        round
    }

    /// Encodes units of the round, each that no other thread has taken.
    fn encode_units(&self, round: &[Range<u64>], taken: &AtomicUsize) -> Vec<(usize, Result<Encoded>)> {
        let mine = std::iter::repeat_with(|| taken.fetch_add(1, Ordering::Relaxed));
        let (mut encode, mut buffer) = (self.tokenizer.encoder(), Vec::new());
        mine.take_while(|&number| number < round.len())
            .map(|number| (number, self.encode_unit(round[number].clone(), &mut encode, &mut buffer)))
            .collect()
    }

    fn encode_unit(
        &self,
        positions: Range<u64>,
        encode: &mut impl FnMut(&[u8], &mut Vec<u32>) -> Result<()>,
        buffer: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let mut encoded = Encoded { ids: Vec::new(), ends: Vec::new(), input_bytes: 0 };
        for document in positions.map(|position| self.order.at(position)) {
            let text = self.corpus.read(document, buffer)?;
            encode(&text, &mut encoded.ids).map_err(|error| self.corpus.at_document(document, &error))?;
            encoded.ends.push(encoded.ids.len());
            encoded.input_bytes += self.corpus.document_bytes(document);
        }
        Ok(encoded)
    }
}

/// A panic of the tokenizer is its bug, and goes on as the panic it is.
fn join<T>(joined: thread::Result<T>) -> T {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn too_little_memory(corpus: &Corpus, options: &PrepareOptions, needed: u64) -> Error {
    let largest = corpus.document_bytes(corpus.largest());
    let n_documents = corpus.n_documents();
    Error::Argument {
        name: "max_memory",
        got: options.max_memory.unwrap_or(0).to_string(),
        expected: format!("at least {needed} for {n_documents} documents, the largest of {largest} bytes"),
    }
}
