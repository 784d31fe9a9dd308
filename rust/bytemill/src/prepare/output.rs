//! Assign each document to validation or to training.

use std::path::Path;

use super::journal::Kept;
use crate::error::{Error, Result};
use crate::shard::{Layout, ShardEntry, Split, SplitWriter, Validation};

/// The writers of both splits.
#[derive(Debug)]
pub(super) struct Output {
    val: SplitWriter,
    train: SplitWriter,
    turn: Turn,
    /// Number of documents begun, including those of kept shards.
    n_begun: u64,
    /// Tokens of the next document that kept shards already contain.
    already_there: u64,
    end_of_text_tokens: u64,
}

/// When the validation split is complete.
#[derive(Debug)]
enum Turn {
    /// After this many documents.
    Documents(u64),
    /// At this many tokens, in the middle of a document if necessary.
    Tokens(u64),
}

impl Output {
    /// Create the writers. The first of `n_documents` go to validation; they are shuffled, so the seed chooses them.
    /// Continue after `kept`.
    pub(super) fn new(out_dir: &Path, layout: Layout, val: Validation, n_documents: u64, kept: Kept) -> Result<Self> {
        let turn = match val {
            Validation::FirstShard => Turn::Tokens(layout.shard_tokens),
            Validation::Share(share) => Turn::Documents(n_val_documents(share, n_documents)),
        };
        let (n_begun, already_there) = (kept.next_document(), kept.tail_tokens);
        let val = SplitWriter::resume(out_dir, Split::Val, layout, kept.val)?;
        let train = SplitWriter::resume(out_dir, Split::Train, layout, kept.train)?;
        let end_of_text_tokens = u64::from(layout.end_of_text.is_some());
        Ok(Self { val, train, turn, n_begun, already_there, end_of_text_tokens })
    }

    /// Begin the next document with `ids`.
    pub(super) fn begin(&mut self, ids: &[u32]) -> Result<()> {
        self.n_begun += 1;
        if let Turn::Documents(n_val) = self.turn
            && self.n_begun == n_val + 1
        {
            self.val.complete()?;
        }
        if self.already_there > 0 {
            self.already_there -= self.end_of_text_tokens;
        } else {
            self.writer().begin_document()?;
        }
        self.go_on(ids)
    }

    /// Write more ids of the current document.
    pub(super) fn go_on(&mut self, ids: &[u32]) -> Result<()> {
        let there = self.already_there.min(ids.len() as u64);
        self.already_there -= there;
        let mut ids = &ids[there as usize..];
        if let Turn::Tokens(all) = self.turn {
            let room = all.saturating_sub(self.val.n_tokens()).min(ids.len() as u64);
            self.val.write(&ids[..room as usize])?;
            ids = &ids[room as usize..];
        }
        if ids.is_empty() { Ok(()) } else { self.writer().write(ids) }
    }

    /// Return the writer of the current document.
    fn writer(&mut self) -> &mut SplitWriter {
        let to_val = match self.turn {
            Turn::Documents(n_val) => self.n_begun <= n_val,
            Turn::Tokens(all) => self.val.n_tokens() < all,
        };
        if to_val { &mut self.val } else { &mut self.train }
    }

    /// Return the number of tokens written so far.
    pub(super) fn n_tokens(&self) -> u64 {
        self.val.n_tokens() + self.train.n_tokens()
    }

    /// Return the number of finished shards.
    pub(super) fn n_finished(&self) -> usize {
        self.train.finished().len() + self.val.finished().len()
    }

    /// Return the finished shards.
    pub(super) fn finished(&self) -> Vec<ShardEntry> {
        [self.train.finished(), self.val.finished()].concat()
    }

    /// Complete the shards and return the entries for the manifest.
    pub(super) fn finish(self) -> Result<Vec<ShardEntry>> {
        if self.train.n_tokens() == 0 {
            let got = format!("{} tokens, all of them for validation", self.val.n_tokens());
            let expected = "enough text for training too: set a smaller val or smaller shards".to_owned();
            return Err(Error::Argument { name: "sources", got, expected });
        }
        let mut shards = self.train.finish()?;
        shards.extend(self.val.finish()?);
        Ok(shards)
    }
}

/// Round to the nearest whole number, but leave at least one document for each split if there are two.
fn n_val_documents(share: f64, n_documents: u64) -> u64 {
    if share == 0.0 {
        return 0;
    }
    #[allow(clippy::cast_sign_loss, reason = "a share is not negative")]
    let nearest = (share * n_documents as f64).round() as u64;
    nearest.min(n_documents - 1).max(1)
}
