//! From positions to batches: which sample stands where, and its tokens side by side.

use std::path::{Path, PathBuf};

use super::header::TokenWidth;
use super::manifest::Manifest;
use super::mixture::Mixture;
use super::options::LoaderOptions;
use super::order::{Permutation, Stream};
use super::tokens::{Buffers, Tokens};
use crate::error::{Error, Result};

/// `batch_size` samples: row by row inputs, and targets, which are the inputs one token later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Token ids, (B, T) row by row.
    pub inputs: Vec<i64>,
    /// Token ids, (B, T) row by row.
    pub targets: Vec<i64>,
    /// Position of the first row in the global order.
    pub position: u64,
}

/// From a position to its tokens; plain data and files, shared by the threads.
#[derive(Clone, Debug)]
pub(super) struct Samples {
    pub(super) sources: Vec<Source>,
    pub(super) mixture: Mixture,
    pub(super) options: LoaderOptions,
}

#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) tokens: Tokens,
    pub(super) n_samples: u64,
}

impl Samples {
    pub(super) fn open(folders: &[PathBuf], manifests: &[Manifest], options: LoaderOptions) -> Result<Self> {
        let all: Vec<_> = folders.iter().map(PathBuf::as_path).zip(manifests).collect();
        let (groups, mixture) = match &options.weights {
            None => (vec![&all[..]], Mixture::single()),
            Some(weights) if weights.len() == all.len() => {
                (all.chunks(1).collect(), Mixture::weighted(weights, options.seed)?)
            }
            Some(weights) => {
                let (got, expected) = (format!("{weights:?}"), format!("{}, one for each folder", all.len()));
                return Err(Error::Argument { name: "weights", got, expected });
            }
        };
        let sources = groups.into_iter().map(|group| Source::open(group, &options)).collect::<Result<_>>()?;
        Ok(Self { sources, mixture, options })
    }

    /// Positions from one batch of a rank to its next.
    pub(super) fn step(&self) -> u64 {
        self.options.batch_size as u64 * self.options.world_size as u64
    }

    /// From the position that all ranks share to this rank's first sample.
    pub(super) fn offset(&self) -> u64 {
        self.options.batch_size as u64 * self.options.rank as u64
    }

    /// The samples at `batch_size` positions from `first` on.
    pub(super) fn batch(&self, first: u64) -> Result<Batch> {
        let n_tokens = self.options.batch_size * self.options.seq_len;
        let mut batch =
            Batch { inputs: Vec::with_capacity(n_tokens), targets: Vec::with_capacity(n_tokens), position: first };
        let mut buffers = Buffers::default();
        for position in first..first + self.options.batch_size as u64 {
            let (source, sample) = self.locate(position);
            let tokens = &self.sources[source].tokens;
            let t = self.options.seq_len;
            tokens.read(sample * t as u64, t + 1, &mut buffers)?;
            batch.push(&buffers.tokens, tokens.width());
        }
        Ok(batch)
    }

    /// The source, and the sample in it, that `position` stands for.
    fn locate(&self, position: u64) -> (usize, u64) {
        let (source, position) = self.mixture.locate(position);
        let n = self.sources[source].n_samples;
        let (epoch, within) = (position / n, position % n);
        if !self.options.shuffle {
            return (source, within);
        }
        (source, Permutation::new(n, self.options.seed, Stream::Samples(source as u32), epoch).at(within))
    }
}

impl Source {
    fn open(folders: &[(&Path, &Manifest)], options: &LoaderOptions) -> Result<Self> {
        let tokens = Tokens::open(folders.iter().copied(), options.split, options.verify)?;
        let n_samples = tokens.len().saturating_sub(1) / options.seq_len as u64;
        if n_samples == 0 {
            let (split, at) = (options.split.name(), folders[0].0);
            let (got, needed) = (tokens.len(), options.seq_len + 1);
            let reason =
                format!("split {split} has {got} tokens, one sample of seq_len {} needs {needed}", options.seq_len);
            return Err(Error::format(at, reason));
        }
        Ok(Self { tokens, n_samples })
    }
}

impl Batch {
    /// Appends a row of T inputs and T targets from T + 1 tokens.
    fn push(&mut self, tokens: &[u8], width: TokenWidth) {
        match width {
            TokenWidth::Uint16 => self.extend(tokens.as_chunks().0, |id| u16::from_le_bytes(id).into()),
            TokenWidth::Uint32 => self.extend(tokens.as_chunks().0, |id| u32::from_le_bytes(id).into()),
        }
    }

    fn extend<const BYTES: usize>(&mut self, ids: &[[u8; BYTES]], widen: impl Fn([u8; BYTES]) -> i64) {
        self.inputs.extend(ids[..ids.len() - 1].iter().map(|&id| widen(id)));
        self.targets.extend(ids[1..].iter().map(|&id| widen(id)));
    }
}
