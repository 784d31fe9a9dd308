//! Memory limits of preparation, for the places of documents, and for text and ids in progress.

use std::thread;

use super::encode_document::EncodeDocument;
use super::finder::Document;
use super::options::PrepareOptions;
use crate::error::{Error, Result};

const LARGEST_UNIT_BYTES: u64 = 256 << 10;
const SMALLEST_UNIT_BYTES: u64 = 4 << 10;
/// Maximum number of threads; more never justify the memory of their stacks.
const MAX_THREADS: usize = 1_024;
/// Units per thread and round, so that different sizes even out.
pub(super) const UNITS_A_THREAD: u64 = 4;
/// Maximum memory per byte of text: two rounds of four-byte ids, one token per byte, in half-full vectors; plus its
/// line and text.
const MEMORY_A_BYTE: u64 = 18;
/// The encoder's own limit for a text that is encoded as a whole.
const MAX_WHOLE_BYTES: u64 = u32::MAX as u64 - 1;

/// The requirements of the documents found so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) n_documents: u64,
    /// Size in bytes of the largest document that must be encoded as a whole.
    pub(super) largest_whole: u64,
}

/// The memory limit and the number of threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    max_memory: Option<u64>,
    n_threads: usize,
    /// Whether long texts are split.
    pub(super) cuts: bool,
}

/// The number of encoding threads, and the amount of text for each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    pub(super) n_threads: usize,
    pub(super) unit_bytes: u64,
    /// Maximum length of a stretch of text, after a unit, without a place to split.
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
            // Limit the number of threads, so that their tables leave room for text.
            let worth_having = limit / 2 / tokenizer.encoder_bytes().max(1);
            budget.n_threads = n_threads.min(worth_having.try_into().unwrap_or(usize::MAX)).max(1);
        }
        budget
    }

    /// Return a budget for reading the same corpus again, as a whole or in parts.
    pub(super) fn without_limit() -> Self {
        Self { max_memory: None, n_threads: 1, cuts: true }
    }

    pub(super) fn max_memory(&self) -> Option<u64> {
        self.max_memory
    }

    /// Return an error as soon as the documents certainly need more memory than is allowed.
    pub(super) fn check(&self, found: Found) -> Result<()> {
        if found.largest_whole > MAX_WHOLE_BYTES {
            let got = format!("a text of {} bytes or more that cannot be split", found.largest_whole);
            let expected = format!("at most {MAX_WHOLE_BYTES}: split it into several files or rows");
            return Err(Error::Argument { name: "sources", got, expected });
        }
        let needed = self.needed(found);
        match self.max_memory {
            Some(limit) if limit < needed => Err(self.too_little(found, needed)),
            _ => Ok(()),
        }
    }

    /// Divide the memory that `found` leaves.
    pub(super) fn share(self, found: Found) -> Result<Share> {
        self.check(found)?;
        let units = self.n_threads as u64 * UNITS_A_THREAD;
        let spare = self.max_memory.map(|limit| (limit - self.needed(found)) / MEMORY_A_BYTE);
        let unit_bytes = match spare {
            None => LARGEST_UNIT_BYTES,
            // Half of the rest is for stretches that cannot be split.
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
                "at least {needed} for {n_documents} documents; the largest unsplittable one has {largest_whole} bytes"
            ),
        }
    }
}

impl Share {
    /// Return the error for `n_bytes` of text at `place` without a place to split.
    pub(super) fn refuse_stretch(&self, n_bytes: u64, place: &str) -> Error {
        let Some(limit) = self.budget.max_memory else {
            let got = format!("{place} with {n_bytes} bytes without a place to split the text");
            let expected = format!("at most {MAX_WHOLE_BYTES}: insert line ends or spaces");
            return Error::Argument { name: "sources", got, expected };
        };
        let whole = self.found.largest_whole.max(n_bytes);
        let needed = self.budget.needed(Found { largest_whole: whole, ..self.found }) + MEMORY_A_BYTE * n_bytes;
        let expected = format!(
            "at least {needed}: {place} has {n_bytes} bytes or more without a place to split the text; \
             or insert line ends or spaces"
        );
        Error::Argument { name: "max_memory", got: limit.to_string(), expected }
    }
}
