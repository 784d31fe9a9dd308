//! Resume a killed run, so that only missing shards are made.
//!
//! After each finished shard, a manifest of the finished shards is written to the folder as `unfinished.json`. A run
//! with the same inputs, tokenizer and plan checks these shards byte by byte, keeps the good ones, and continues after
//! them.

use std::path::Path;

use crate::error::{Error, Result};
use crate::shard::{Index, JOURNAL_NAME, Manifest, ShardEntry, Split, Watch, verify_shard};

/// Shards of an earlier run, in the order in which they were written.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) val: Vec<ShardEntry>,
    pub(super) train: Vec<ShardEntry>,
    /// Number of documents that begin in them.
    pub(super) n_documents: u64,
    /// Tokens of the last of these documents in the shards.
    pub(super) tail_tokens: u64,
}

impl Kept {
    /// Find the shards in `folder` to keep for a run with the result `wanted`. Return an error only if `watch` breaks.
    pub(super) fn find(folder: &Path, wanted: &Manifest, watch: &mut Watch) -> Result<Self> {
        // Without marks, documents without tokens are not counted, so the place to continue is unknown.
        let usable = |found: &Manifest| wanted.end_of_text.is_some() && found.first_difference(wanted).is_none();
        let Some(found) = Manifest::read_as(folder, JOURNAL_NAME).ok().filter(usable) else {
            return Ok(Self::default());
        };
        let mut good = Vec::new();
        for entry in found.split(Split::Val).chain(found.split(Split::Train)) {
            match verify_shard(folder, &found, entry, watch) {
                Ok(()) => good.push(entry.clone()),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(_) => break,
            }
        }
        Ok(Self::of(folder, &found, good).unwrap_or_default())
    }

    fn of(folder: &Path, found: &Manifest, written: Vec<ShardEntry>) -> Result<Self> {
        let mut tail_tokens = 0;
        for entry in written.iter().rev() {
            if entry.documents > 0 {
                let pieces = Index::read(folder, entry, found.dtype)?.lengths;
                tail_tokens += pieces.last().copied().map_or(0, u64::from);
                break;
            }
            tail_tokens += entry.tokens;
        }
        let n_documents = written.iter().map(|entry| entry.documents).sum();
        let (val, train) = written.into_iter().partition(|entry| entry.split == Split::Val);
        Ok(Self { val, train, n_documents, tail_tokens })
    }

    /// Return the shards of both splits.
    pub(super) fn shards(&self) -> Vec<ShardEntry> {
        [&self.train[..], &self.val].concat()
    }

    /// Return the number of the document to continue with: the last that begins in the shards, because it may be
    /// truncated.
    pub(super) fn next_document(&self) -> u64 {
        self.n_documents.saturating_sub(1)
    }
}
