//! A batch's ids, in reused memory: no allocation after the first few batches.
//!
//! `int64`, which torch's losses require, is two (B, T) arrays, one after the other. `int32`, to be cast on the device,
//! is one (B, T + 1) array if a row is a contiguous part of the data; inputs and targets are views of it. This takes a
//! quarter of the bytes. If rows are packed from pieces, `int32` is two arrays as well. The holder of a batch has
//! exclusive access to its memory; when the batch is dropped, the memory goes back to the pool.

use std::sync::{Arc, Mutex};

use super::options::{IdType, Packing};
use crate::shard::format::header::TokenWidth;

/// The memory of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// B rows of T + 1 ids: the first T are inputs, the last T are targets.
    Overlapping(Vec<i32>),
    /// B rows of T inputs, then B rows of T targets.
    Int32(Vec<i32>),
    /// The layout of `Int32`, with eight bytes per id.
    Int64(Vec<i64>),
}

/// `batch_size` samples: inputs and targets; the targets are the inputs shifted by one token.
#[derive(Debug)]
#[allow(clippy::struct_field_names, reason = "batch_size is what everybody calls it")]
pub struct Batch {
    ids: Ids,
    pool: Arc<Mutex<Vec<Ids>>>,
    most_spare: usize,
    n_rows: usize,
    seq_len: usize,
    /// Position of the first row in the global order.
    pub position: u64,
    /// Document boundaries in the format of [`crate::shard::Boundaries`], if requested.
    pub documents: Option<Vec<i32>>,
}

impl Batch {
    /// Return the ids in their memory layout.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Return a copy of the inputs, (B, T) row by row.
    pub fn inputs(&self) -> Vec<i64> {
        self.columns(0)
    }

    /// Return a copy of the targets, (B, T) row by row.
    pub fn targets(&self) -> Vec<i64> {
        self.columns(1)
    }

    fn columns(&self, first: usize) -> Vec<i64> {
        let half = self.n_rows * self.seq_len;
        match &self.ids {
            Ids::Int64(ids) => ids[first * half..][..half].to_vec(),
            Ids::Int32(ids) => ids[first * half..][..half].iter().map(|&id| id.into()).collect(),
            Ids::Overlapping(ids) => {
                let rows = ids.chunks(self.seq_len + 1);
                rows.flat_map(|row| &row[first..first + self.seq_len]).map(|&id| id.into()).collect()
            }
        }
    }

    /// Fill n columns of `row` from column `first` with the bytes of n + 1 tokens; if rows overlap, fill all T columns.
    pub(in crate::shard) fn fill(&mut self, row: usize, first: usize, tokens: &[u8], width: TokenWidth) {
        let t = self.seq_len;
        let inputs_at = row * t + first;
        match &mut self.ids {
            Ids::Overlapping(ids) => {
                debug_assert!(first == 0 && tokens.len() == (t + 1) * width.bytes());
                widen(tokens, &mut ids[row * (t + 1)..][..=t], width);
            }
            Ids::Int32(ids) => fill_apart(ids, inputs_at, tokens, width),
            Ids::Int64(ids) => fill_apart(ids, inputs_at, tokens, width),
        }
    }
}

/// Write inputs from `at`, and targets at the same place in the second half: all tokens except the last, and all except
/// the first.
fn fill_apart<Id: Widened>(ids: &mut [Id], at: usize, tokens: &[u8], width: TokenWidth) {
    let n = tokens.len() / width.bytes() - 1;
    let (inputs, targets) = ids.split_at_mut(ids.len() / 2);
    widen(tokens, &mut inputs[at..at + n], width);
    widen(&tokens[width.bytes()..], &mut targets[at..at + n], width);
}

/// Write one id per token until `ids` is full; the compiler vectorizes this.
fn widen<Id: Widened>(tokens: &[u8], ids: &mut [Id], width: TokenWidth) {
    match width {
        TokenWidth::Uint16 => convert(tokens, ids, Id::of_two),
        TokenWidth::Uint32 => convert(tokens, ids, Id::of_four),
    }
}

fn convert<const BYTES: usize, Id>(tokens: &[u8], ids: &mut [Id], convert: impl Fn([u8; BYTES]) -> Id) {
    for (id, token) in ids.iter_mut().zip(tokens.as_chunks().0) {
        *id = convert(*token);
    }
}

/// An integer type that tokens are converted to.
trait Widened: Sized {
    fn of_two(token: [u8; 2]) -> Self;
    fn of_four(token: [u8; 4]) -> Self;
}

impl Widened for i32 {
    fn of_two(token: [u8; 2]) -> Self {
        u16::from_le_bytes(token).into()
    }

    fn of_four(token: [u8; 4]) -> Self {
        Self::from_le_bytes(token)
    }
}

impl Widened for i64 {
    fn of_two(token: [u8; 2]) -> Self {
        u16::from_le_bytes(token).into()
    }

    fn of_four(token: [u8; 4]) -> Self {
        u32::from_le_bytes(token).into()
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        (&self.ids, &self.documents, self.position) == (&other.ids, &other.documents, other.position)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // Never wait: in a forked child, the lock may belong to a thread that does not exist there.
        if let Ok(mut spare) = self.pool.try_lock()
            && spare.len() < self.most_spare
        {
            spare.push(std::mem::replace(&mut self.ids, Ids::Int32(Vec::new())));
        }
    }
}

/// Creates batches of one shape, reusing the memory of dropped batches.
#[derive(Debug)]
pub(super) struct BatchPool {
    spare: Arc<Mutex<Vec<Ids>>>,
    most_spare: usize,
    n_rows: usize,
    seq_len: usize,
    id_type: IdType,
    packing: Packing,
}

impl BatchPool {
    /// Create a pool that keeps memory for at most `most_spare` unused batches.
    pub(in crate::shard) fn new(
        n_rows: usize,
        seq_len: usize,
        id_type: IdType,
        packing: Packing,
        most_spare: usize,
    ) -> Self {
        Self { spare: Arc::default(), most_spare, n_rows, seq_len, id_type, packing }
    }

    /// Return a batch to be filled; its content is undefined.
    pub(in crate::shard) fn take(&self, position: u64) -> Batch {
        let spare = self.spare.try_lock().ok().and_then(|mut spare| spare.pop());
        let (n_rows, seq_len) = (self.n_rows, self.seq_len);
        let ids = spare.unwrap_or_else(|| match (self.id_type, self.packing) {
            (IdType::Int32, Packing::Chunk) => Ids::Overlapping(vec![0; n_rows * (seq_len + 1)]),
            (IdType::Int32, Packing::BestFit) => Ids::Int32(vec![0; 2 * n_rows * seq_len]),
            (IdType::Int64, _) => Ids::Int64(vec![0; 2 * n_rows * seq_len]),
        });
        let (pool, most_spare) = (Arc::clone(&self.spare), self.most_spare);
        Batch { ids, pool, most_spare, n_rows, seq_len, position, documents: None }
    }
}

impl Clone for BatchPool {
    /// Return an empty pool with the same shape: a forked child shares no lock with its parent.
    fn clone(&self) -> Self {
        Self::new(self.n_rows, self.seq_len, self.id_type, self.packing, self.most_spare)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(batch: &Batch) -> usize {
        match &batch.ids {
            Ids::Overlapping(ids) | Ids::Int32(ids) => ids.as_ptr().addr(),
            Ids::Int64(ids) => ids.as_ptr().addr(),
        }
    }

    #[test]
    fn memory_comes_back_only_when_nobody_holds_it() {
        let pool = BatchPool::new(2, 3, IdType::Int64, Packing::Chunk, 2);
        let held = pool.take(0);
        let first = pool.take(1);
        let spare = address(&first);
        drop(first);
        assert_eq!(address(&pool.take(2)), spare);
        assert_ne!(address(&held), spare);
        drop([0; 5].map(|position| pool.take(position)));
        assert_eq!(pool.spare.lock().unwrap().len(), 2, "no more than asked for are kept");
    }

    #[test]
    fn rows_are_inputs_and_targets_in_every_type_and_width() {
        use Packing::{BestFit, Chunk};
        for (id_type, packing) in [(IdType::Int32, Chunk), (IdType::Int64, Chunk), (IdType::Int32, BestFit)] {
            let pool = BatchPool::new(2, 3, id_type, packing, 1);
            let mut batch = pool.take(0);
            let wide: Vec<u8> = [1_u32, 2, 70_000, 4].iter().flat_map(|id| id.to_le_bytes()).collect();
            let narrow: Vec<u8> = [5_u16, 6, 65_535, 8].iter().flat_map(|id| id.to_le_bytes()).collect();
            batch.fill(0, 0, &wide, TokenWidth::Uint32);
            batch.fill(1, 0, &narrow, TokenWidth::Uint16);
            assert_eq!(batch.inputs(), [1, 2, 70_000, 5, 6, 65_535]);
            assert_eq!(batch.targets(), [2, 70_000, 4, 6, 65_535, 8]);
        }
    }
}
