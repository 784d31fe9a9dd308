//! Where a document goes: to validation or to training.

use std::path::Path;

use crate::error::{Error, Result};
use crate::shard::{Layout, ShardEntry, Split, SplitWriter, Validation};

/// The writers of both splits.
#[derive(Debug)]
pub(super) struct Output {
    val: SplitWriter,
    train: SplitWriter,
    turn: Turn,
}

/// When validation has enough.
#[derive(Debug)]
enum Turn {
    /// After this many more documents.
    Documents(u64),
    /// When it has this many tokens, in the middle of a document if need be.
    Tokens(u64),
}

impl Output {
    /// Of `n_documents`, the first go to validation: shuffled, they are chosen by seed.
    pub(super) fn new(out_dir: &Path, layout: Layout, val: Validation, n_documents: u64) -> Result<Self> {
        let turn = match val {
            Validation::FirstShard => Turn::Tokens(layout.shard_tokens),
            Validation::Share(share) => Turn::Documents(n_val_documents(share, n_documents)),
        };
        let writer = |split| SplitWriter::new(out_dir, split, layout);
        Ok(Self { val: writer(Split::Val)?, train: writer(Split::Train)?, turn })
    }

    /// Writes the next document.
    pub(super) fn write(&mut self, ids: &[u32]) -> Result<()> {
        match &mut self.turn {
            Turn::Documents(left) if *left > 0 => {
                *left -= 1;
                write_document(&mut self.val, ids)
            }
            Turn::Tokens(all) if self.val.n_tokens() < *all => {
                self.val.begin_document()?;
                let room = (*all - self.val.n_tokens()).min(ids.len() as u64);
                let (now, later) = ids.split_at(room as usize);
                self.val.write(now)?;
                self.train.write(later)
            }
            _ => write_document(&mut self.train, ids),
        }
    }

    /// Tokens written so far.
    pub(super) fn n_tokens(&self) -> u64 {
        self.val.n_tokens() + self.train.n_tokens()
    }

    /// Completes the shards and gives the manifest's rows.
    pub(super) fn finish(self) -> Result<Vec<ShardEntry>> {
        if self.train.n_tokens() == 0 {
            let got = format!("{} tokens, all of them for validation", self.val.n_tokens());
            let expected = "text enough for training too: a smaller share, or smaller shards".to_owned();
            return Err(Error::Argument { name: "sources", got, expected });
        }
        let mut shards = self.train.finish()?;
        shards.extend(self.val.finish()?);
        Ok(shards)
    }
}

/// The nearest whole number, but at least one for each split as long as there are two.
fn n_val_documents(share: f64, n_documents: u64) -> u64 {
    if share == 0.0 {
        return 0;
    }
    #[allow(clippy::cast_sign_loss, reason = "a share is not negative")]
    let nearest = (share * n_documents as f64).round() as u64;
    nearest.min(n_documents - 1).max(1)
}

fn write_document(writer: &mut SplitWriter, ids: &[u32]) -> Result<()> {
    writer.begin_document()?;
    writer.write(ids)
}
