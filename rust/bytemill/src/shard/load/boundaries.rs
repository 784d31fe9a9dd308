//! Document boundaries inside a batch, for attention that must not cross them.
//!
//! Pieces are counted through the batch row by row. Each row begins a piece, and so does each document in it, or each
//! packed piece in a packed row. This takes four bytes of memory per document, read from a shard's `.idx` file when
//! first needed.

use crate::error::Result;
use crate::shard::read::tokens::Tokens;

/// The format of boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundaries {
    /// (B, T) piece numbers, counted from 0 through the batch.
    DocumentIds,
    /// The start of each piece among the B x T inputs, padded with B x T to the same length for every batch: flash
    /// attention's `cu_seqlens`.
    CuSeqlens,
}

/// Return the maximum number of pieces in a sample of `t` inputs.
pub(super) fn most_pieces(tokens: &Tokens, n_samples: u64, t: u64) -> Result<usize> {
    let (mut sample, mut pieces, mut most) = (0, 1, 1);
    tokens.for_each_start(0..n_samples * t, |start| {
        if start / t != sample {
            (sample, pieces) = (start / t, 1);
        }
        if start % t != 0 {
            pieces += 1;
            most = most.max(pieces);
        }
    })?;
    Ok(most)
}

/// Collects the starts of a batch's pieces, row by row.
pub(super) struct Pieces {
    starts: Vec<i32>,
    t: u64,
    n_rows: u64,
}

impl Pieces {
    pub(in crate::shard) fn new(t: usize) -> Self {
        Self { starts: Vec::new(), t: t as u64, n_rows: 0 }
    }

    /// Add the next row, which begins at token `first`.
    pub(super) fn add_row(&mut self, tokens: &Tokens, first: u64) -> Result<()> {
        let row_at = self.n_rows * self.t;
        self.starts.push(row_at as i32);
        tokens.for_each_start(first + 1..first + self.t, |start| self.starts.push((row_at + start - first) as i32))?;
        self.n_rows += 1;
        Ok(())
    }

    /// Add the next row, with pieces of these lengths.
    pub(super) fn add_pieces(&mut self, lengths: impl Iterator<Item = u64>) {
        let mut at = self.n_rows * self.t;
        for length in lengths {
            self.starts.push(at as i32);
            at += length;
        }
        self.n_rows += 1;
    }

    /// Return the boundaries in the format `how`; `padded_length` is the length of every batch's `cu_seqlens`.
    pub(super) fn encoded_as(mut self, how: Boundaries, padded_length: usize) -> Vec<i32> {
        let end = (self.n_rows * self.t) as i32;
        match how {
            Boundaries::CuSeqlens => {
                self.starts.resize(padded_length.max(self.starts.len() + 1), end);
                self.starts
            }
            Boundaries::DocumentIds => {
                let ends = self.starts.iter().skip(1).copied().chain([end]);
                let pieces = self.starts.iter().zip(ends).zip(0..);
                pieces.flat_map(|((&start, end), piece)| (start..end).map(move |_| piece)).collect()
            }
        }
    }
}
