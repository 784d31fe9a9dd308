//! What a loader reads, in which order, and with which means.

use super::boundaries::Boundaries;
use crate::error::{Error, Result};
use crate::shard::format::header::{Split, TokenWidth};
use crate::shard::read::shard_reader::Verify;
use serde::{Deserialize, Serialize};

/// Most tokens in one batch.
const MAX_BATCH_TOKENS: u64 = 1 << 30;
const MAX_PREFETCH_BATCHES: u64 = 1 << 16;
const MAX_THREADS: u64 = 1 << 10;

/// How documents become samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Consecutive windows over the documents end to end.
    #[default]
    Chunk,
    /// Rows of whole documents, cut only where none fits.
    BestFit,
}

/// How ids are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IdType {
    /// Four bytes an id, to be cast on the device.
    Int32,
    /// What torch's losses ask for.
    #[default]
    Int64,
}

/// What to read, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Samples in a batch of one rank.
    pub batch_size: usize,
    /// Tokens of a sample's input, T.
    pub seq_len: usize,
    /// Keys the order.
    pub seed: u64,
    /// This process's number among `world_size`.
    pub rank: usize,
    /// Processes that share the order.
    pub world_size: usize,
    /// The split to read.
    pub split: Split,
    /// One weight a folder; without weights the folders' tokens follow each other as one source.
    pub weights: Option<Vec<f64>>,
    /// How documents become samples.
    pub packing: Packing,
    /// Whether samples come permuted, anew each epoch, or as they lie.
    pub shuffle: bool,
    /// When checksums are compared.
    pub verify: Verify,
    /// Reads mapped files instead of calling the system for each sample. Who cuts a file that is mapped kills the process.
    pub mmap: bool,
    /// The type of the tokens in files that do not say it.
    pub stored: Option<TokenWidth>,
    /// Tells where documents begin, of shards that bytemill wrote.
    pub boundaries: Option<Boundaries>,
    /// How ids are handed out.
    pub id_type: IdType,
    /// Batches read ahead; 0 reads when asked, on the caller's thread.
    pub prefetch_batches: usize,
    /// Threads that read ahead: one begins when it is seen that the caller does something between batches, several at once.
    pub threads: usize,
}

impl LoaderOptions {
    /// Shuffled training batches of `batch_size` samples of `seq_len` tokens, for one process.
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
