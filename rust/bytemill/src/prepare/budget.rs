//! What preparing may hold in memory: places of documents, and text with its ids on the way to the shards.

use std::thread;

use super::encode_document::EncodeDocument;
use super::finder::Document;
use super::options::PrepareOptions;
use crate::error::{Error, Result};

const LARGEST_UNIT_BYTES: u64 = 256 << 10;
const SMALLEST_UNIT_BYTES: u64 = 4 << 10;
/// More threads are never worth their stacks.
const MAX_THREADS: usize = 1_024;
/// Units a thread has in a round, so that unequal ones even out.
pub(super) const UNITS_A_THREAD: u64 = 4;
/// Memory a byte of text may cost: two rounds of four-byte ids, a token a byte, in vectors half full; its line and text.
const MEMORY_A_BYTE: u64 = 18;
/// The encoder's own limit for what is encoded as a whole.
const MAX_WHOLE_BYTES: u64 = u32::MAX as u64 - 1;

/// What the documents found so far need.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) n_documents: u64,
    /// Bytes of the largest document that has to be encoded as a whole.
    pub(super) largest_whole: u64,
}

/// The limit of memory, and how threads share it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    max_memory: Option<u64>,
    n_threads: usize,
    /// Whether long texts are cut.
    pub(super) cuts: bool,
}

/// How many threads encode, and how much text each takes at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) n_threads: usize,
    pub(super) unit_bytes: u64,
    /// The longest stretch of a text, after a unit, that need not have a place to cut.
    pub(super) longest_stretch: u64,
    budget: Budget,
    found: Found,
}

impl Budget {
    pub(super) fn new(tokenizer: &impl EncodeDocument, options: &PrepareOptions) -> Self {
        let n_threads = match options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n.min(MAX_THREADS),
        };
        let max_memory = options.max_memory;
        let mut budget = Self { max_memory, n_threads, cuts: tokenizer.cuts() };
        if let Some(limit) = max_memory {
            // Threads beyond the first are worth their tables only where these leave room for text.
            let worth_having = limit / 2 / tokenizer.encoder_bytes().max(1);
            budget.n_threads = n_threads.min(worth_having.try_into().unwrap_or(usize::MAX)).max(1);
        }
        budget
    }

    /// For reading the same corpus once more, as a whole or in parts.
    pub(super) fn without_limit() -> Self {
        Self { max_memory: None, n_threads: 1, cuts: true }
    }

    pub(super) fn max_memory(&self) -> Option<u64> {
        self.max_memory
    }

    /// Refuses documents that need more memory than is allowed, as soon as that is sure.
    pub(super) fn check(&self, found: Found) -> Result<()> {
        if found.largest_whole > MAX_WHOLE_BYTES {
            let got = format!("a text of {} bytes or more that cannot be cut", found.largest_whole);
            let expected = format!("at most {MAX_WHOLE_BYTES}: cut it into several files or rows");
            return Err(Error::Argument { name: "sources", got, expected });
        }
        let needed = self.needed(found);
        match self.max_memory {
            Some(limit) if limit < needed => Err(self.too_little(found, needed)),
            _ => Ok(()),
        }
    }

    /// Shares out what `found` leaves.
    pub(super) fn share(self, found: Found) -> Result<Share> {
        self.check(found)?;
        let units = self.n_threads as u64 * UNITS_A_THREAD;
        let spare = self.max_memory.map(|limit| (limit - self.needed(found)) / MEMORY_A_BYTE);
        let unit_bytes = match spare {
            None => LARGEST_UNIT_BYTES,
            // Half of what is left is for stretches that cannot be cut.
            Some(spare) => (spare / 2 / units + SMALLEST_UNIT_BYTES).min(LARGEST_UNIT_BYTES),
        };
        let in_units = units * (unit_bytes - SMALLEST_UNIT_BYTES);
        let longest_stretch = spare.map_or(MAX_WHOLE_BYTES, |spare| spare - in_units + found.largest_whole);
        let longest_stretch = longest_stretch.min(MAX_WHOLE_BYTES - unit_bytes);
        Ok(Share { n_threads: self.n_threads, unit_bytes, longest_stretch, budget: self, found })
    }

    fn needed(&self, found: Found) -> u64 {
        let units = self.n_threads as u64 * UNITS_A_THREAD;
        let index = found.n_documents * size_of::<Document>() as u64;
        index + MEMORY_A_BYTE * (found.largest_whole + units * SMALLEST_UNIT_BYTES)
    }

    fn too_little(&self, found: Found, needed: u64) -> Error {
        let Found { n_documents, largest_whole } = found;
        Error::Argument {
            name: "max_memory",
            got: self.max_memory.unwrap_or(0).to_string(),
            expected: format!(
                "at least {needed} for {n_documents} documents, the largest that cannot be cut of {largest_whole} bytes"
            ),
        }
    }
}

impl Share {
    /// Refuses `n_bytes` of text at `place` that have no place to cut.
    pub(super) fn refuse_stretch(&self, n_bytes: u64, place: &str) -> Error {
        let Some(limit) = self.budget.max_memory else {
            let got = format!("{place} with {n_bytes} bytes without a place where text can be cut");
            let expected = format!("at most {MAX_WHOLE_BYTES}: put line ends or spaces between them");
            return Error::Argument { name: "sources", got, expected };
        };
        let whole = self.found.largest_whole.max(n_bytes);
        let needed = self.budget.needed(Found { largest_whole: whole, ..self.found }) + MEMORY_A_BYTE * n_bytes;
        let expected = format!(
            "at least {needed}: {place} has {n_bytes} bytes or more without a place where text can be cut; \
             or put line ends or spaces between them"
        );
        Error::Argument { name: "max_memory", got: limit.to_string(), expected }
    }
}
