//! Loader options: what to read, in which order, and how.

use super::boundaries::Boundaries;
use crate::error::{Error, Result};
use crate::shard::format::header::{Split, TokenWidth};
use crate::shard::read::shard_reader::Verify;
use serde::{Deserialize, Serialize};

/// Maximum tokens in one batch.
const MAX_BATCH_TOKENS: u64 = 1 << 30;
const MAX_PREFETCH_BATCHES: u64 = 1 << 16;
const MAX_THREADS: u64 = 1 << 10;

/// How documents become samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Consecutive windows over the concatenated documents.
    #[default]
    Chunk,
    /// Rows of whole documents; a document is split only if none fits.
    BestFit,
}

/// The integer type of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IdType {
    /// Four bytes per id, to be cast on the device.
    Int32,
    /// The type that torch's losses require.
    #[default]
    Int64,
}

/// What to read, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Samples per batch on one rank.
    pub batch_size: usize,
    /// Input tokens per sample, T.
    pub seq_len: usize,
    /// Random seed of the order.
    pub seed: u64,
    /// This process's number, below `world_size`.
    pub rank: usize,
    /// Number of processes that share the order.
    pub world_size: usize,
    /// The split to read.
    pub split: Split,
    /// One weight per folder. Without weights, the folders' tokens are concatenated to one source.
    pub weights: Option<Vec<f64>>,
    /// How documents become samples.
    pub packing: Packing,
    /// Whether to permute samples, differently in each epoch, or keep their order in the data.
    pub shuffle: bool,
    /// When to check checksums.
    pub verify: Verify,
    /// Whether to read mapped files instead of calling the system for each sample. Truncating a mapped file kills the
    /// process (SIGBUS).
    pub mmap: bool,
    /// The type of the tokens in files that do not contain it.
    pub stored: Option<TokenWidth>,
    /// Format for document boundaries, if requested; requires shards written by bytemill.
    pub boundaries: Option<Boundaries>,
    /// The integer type of ids.
    pub id_type: IdType,
    /// Number of batches to prefetch; 0 reads each batch when requested, on the caller's thread.
    pub prefetch_batches: usize,
    /// Number of prefetching threads. One thread starts when the caller works between batches; several start
    /// immediately.
    pub threads: usize,
}

impl LoaderOptions {
    /// Return options for shuffled training batches of `batch_size` samples of `seq_len` tokens, for one process.
    pub fn new(batch_size: usize, seq_len: usize) -> Self {
        Self {
            batch_size,
            seq_len,
            seed: 0,
            rank: 0,
            world_size: 1,
            split: Split::Train,
            weights: None,
            packing: Packing::Chunk,
            shuffle: true,
            verify: Verify::FirstTouch,
            mmap: false,
            stored: None,
            boundaries: None,
            id_type: IdType::Int64,
            prefetch_batches: 4,
            threads: 1,
        }
    }

    pub(in crate::shard) fn check(&self) -> Result<()> {
        let limit = |name, got: usize, range: std::ops::Range<u64>| {
            let expected = format!("{} to {}", range.start, range.end - 1);
            if range.contains(&(got as u64)) {
                Ok(())
            } else {
                Err(Error::Argument { name, got: got.to_string(), expected })
            }
        };
        limit("batch_size", self.batch_size, 1..MAX_BATCH_TOKENS + 1)?;
        limit("seq_len", self.seq_len, 1..MAX_BATCH_TOKENS / self.batch_size as u64 + 1)?;
        limit("world_size", self.world_size, 1..(1 << 24) + 1)?;
        limit("rank", self.rank, 0..self.world_size as u64)?;
        limit("prefetch_batches", self.prefetch_batches, 0..MAX_PREFETCH_BATCHES + 1)?;
        limit("threads", self.threads, 0..MAX_THREADS + 1)
    }
}
