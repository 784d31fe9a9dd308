//! A batch's ids, in memory that is used again: no allocation once the first batches went round.
//!
//! `int64`, which torch's losses ask for, is two (B, T) arrays, one behind the other. `int32`, to be cast
//! on the device, is one (B, T + 1) array, of which inputs and targets are views: a quarter of the bytes.
//! Whoever holds a batch has its memory alone; when it is dropped, the memory goes back to the pool.

use std::sync::{Arc, Mutex};

use super::header::TokenWidth;

/// How ids are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum IdType {
    /// One (B, T + 1) array, T + 1 tokens a row.
    Int32,
    /// A (B, T) array of inputs, then one of targets.
    #[default]
    Int64,
}

/// The memory behind a batch, laid out as its [`IdType`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ids {
    /// B rows of T + 1 ids.
    Int32(Vec<i32>),
    /// B rows of T inputs, then B rows of T targets.
    Int64(Vec<i64>),
}

/// `batch_size` samples: inputs, and targets, which are the inputs one token later.
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
    /// Where documents begin, if that was asked for, as [`super::Boundaries`] says.
    pub documents: Option<Vec<i32>>,
}

impl Batch {
    /// The ids, laid out as [`IdType`] says.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// A copy of the inputs, (B, T) row by row.
    pub fn inputs(&self) -> Vec<i64> {
        self.columns(0)
    }

    /// A copy of the targets, (B, T) row by row.
    pub fn targets(&self) -> Vec<i64> {
        self.columns(1)
    }

    fn columns(&self, first: usize) -> Vec<i64> {
        let half = self.n_rows * self.seq_len;
        match &self.ids {
            Ids::Int64(ids) => ids[first * half..][..half].to_vec(),
            Ids::Int32(ids) => {
                let rows = ids.chunks(self.seq_len + 1);
                rows.flat_map(|row| &row[first..first + self.seq_len]).map(|&id| id.into()).collect()
            }
        }
    }

    /// Fills row `row` from the bytes of T + 1 tokens.
    pub(super) fn fill_row(&mut self, row: usize, tokens: &[u8], width: TokenWidth) {
        let (t, n_rows) = (self.seq_len, self.n_rows);
        match &mut self.ids {
            Ids::Int32(ids) => {
                let row = &mut ids[row * (t + 1)..][..=t];
                match width {
                    TokenWidth::Uint16 => widen(tokens, row, |id| u16::from_le_bytes(id).into()),
                    TokenWidth::Uint32 => widen(tokens, row, i32::from_le_bytes),
                }
            }
            Ids::Int64(ids) => {
                let (inputs, targets) = ids.split_at_mut(n_rows * t);
                let (inputs, targets) = (&mut inputs[row * t..][..t], &mut targets[row * t..][..t]);
                let later = &tokens[width.bytes()..];
                match width {
                    TokenWidth::Uint16 => {
                        widen(tokens, inputs, |id| u16::from_le_bytes(id).into());
                        widen(later, targets, |id| u16::from_le_bytes(id).into());
                    }
                    TokenWidth::Uint32 => {
                        widen(tokens, inputs, |id| u32::from_le_bytes(id).into());
                        widen(later, targets, |id| u32::from_le_bytes(id).into());
                    }
                }
            }
        }
    }
}

/// One id for each token, as many as there is room for; the compiler makes vector instructions of it.
fn widen<const BYTES: usize, Id>(tokens: &[u8], ids: &mut [Id], widen: impl Fn([u8; BYTES]) -> Id) {
    for (id, token) in ids.iter_mut().zip(tokens.as_chunks().0) {
        *id = widen(*token);
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        (&self.ids, &self.documents, self.position) == (&other.ids, &other.documents, other.position)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // Never waits: in a forked child the lock may belong to a thread that is not there.
        if let Ok(mut spare) = self.pool.try_lock()
            && spare.len() < self.most_spare
        {
            spare.push(std::mem::replace(&mut self.ids, Ids::Int32(Vec::new())));
        }
    }
}

/// Makes batches of one shape, from the memory of those that were dropped where there is some.
#[derive(Debug)]
pub(super) struct BatchPool {
    spare: Arc<Mutex<Vec<Ids>>>,
    most_spare: usize,
    n_rows: usize,
    seq_len: usize,
    id_type: IdType,
}

impl BatchPool {
    /// A pool that keeps memory for at most `most_spare` batches that nobody holds.
    pub(super) fn new(n_rows: usize, seq_len: usize, id_type: IdType, most_spare: usize) -> Self {
        Self { spare: Arc::default(), most_spare, n_rows, seq_len, id_type }
    }

    /// A batch to be filled; what it holds is of no meaning.
    pub(super) fn take(&self, position: u64) -> Batch {
        let spare = self.spare.try_lock().ok().and_then(|mut spare| spare.pop());
        let (n_rows, seq_len) = (self.n_rows, self.seq_len);
        let ids = spare.unwrap_or_else(|| match self.id_type {
            IdType::Int32 => Ids::Int32(vec![0; n_rows * (seq_len + 1)]),
            IdType::Int64 => Ids::Int64(vec![0; 2 * n_rows * seq_len]),
        });
        let (pool, most_spare) = (Arc::clone(&self.spare), self.most_spare);
        Batch { ids, pool, most_spare, n_rows, seq_len, position, documents: None }
    }
}

impl Clone for BatchPool {
    /// The same shape and nothing spare: a forked child shares no lock with its parent.
    fn clone(&self) -> Self {
        Self::new(self.n_rows, self.seq_len, self.id_type, self.most_spare)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn address(batch: &Batch) -> usize {
        match &batch.ids {
            Ids::Int32(ids) => ids.as_ptr().addr(),
            Ids::Int64(ids) => ids.as_ptr().addr(),
        }
    }

    #[test]
    fn memory_comes_back_only_when_nobody_holds_it() {
        let pool = BatchPool::new(2, 3, IdType::Int64, 2);
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
        for id_type in [IdType::Int32, IdType::Int64] {
            let pool = BatchPool::new(2, 3, id_type, 1);
            let mut batch = pool.take(0);
            let wide: Vec<u8> = [1_u32, 2, 70_000, 4].iter().flat_map(|id| id.to_le_bytes()).collect();
            let narrow: Vec<u8> = [5_u16, 6, 65_535, 8].iter().flat_map(|id| id.to_le_bytes()).collect();
            batch.fill_row(0, &wide, TokenWidth::Uint32);
            batch.fill_row(1, &narrow, TokenWidth::Uint16);
            assert_eq!(batch.inputs(), [1, 2, 70_000, 5, 6, 65_535]);
            assert_eq!(batch.targets(), [2, 70_000, 4, 6, 65_535, 8]);
        }
    }
}
