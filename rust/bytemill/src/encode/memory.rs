//! What an encoder remembers: short pretokens and pieces with their ids, in tables of fixed size.
//!
//! A tokenizer has one set of tables, filled from the vocabulary and never written again. An encoder
//! with much text ahead takes a copy for itself, in which it also keeps what it had to merge, and
//! leaves it to the next; so threads share nothing that is written, and a short call pays for nothing.

use super::table::Table;
use crate::vocab::Vocab;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The tables: 2 + 4 + 0.5 MiB, about what a core's share of the last cache holds.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) short: Table<1>,
    pub(super) medium: Table<2>,
    pub(super) long: Table<4>,
}

const SHORT_BUCKETS: usize = 1 << 16;
const MEDIUM_BUCKETS: usize = 1 << 16;
const LONG_BUCKETS: usize = 1 << 12;

/// The most ids that a look into one of the tables gives.
pub(super) const MOST_IDS: usize = Table::<4>::MOST_IDS;

impl Tables {
    fn seeded(vocab: &Vocab) -> Self {
        let mut tables = Self {
            short: Table::new(SHORT_BUCKETS),
            medium: Table::new(MEDIUM_BUCKETS),
            long: Table::new(LONG_BUCKETS),
        };
        for (id, bytes) in vocab.ordinary_tokens().filter(|(id, _)| vocab.encodes_to_itself(*id)) {
            match bytes.len() {
                0..=8 => tables.short.insert_if_free(bytes, &[id]),
                9..=16 => tables.medium.insert_if_free(bytes, &[id]),
                17..=32 => tables.long.insert_if_free(bytes, &[id]),
                _ => {}
            }
        }
        tables
    }

    /// Appends the ids of `text[span]`, if they are too many for the table of its length and so in
    /// that of longer ones.
    pub(super) fn recall_many(&self, text: &[u8], span: Range<usize>, out: &mut Vec<u32>) -> bool {
        match span.len() {
            ..=8 => self.medium.recall(text, span, out),
            9..=16 => self.long.recall(text, span, out),
            _ => false,
        }
    }

    /// Remembers the ids of `piece`, if there is a table for so many bytes and ids.
    pub(super) fn keep(&mut self, piece: &[u8], ids: &[u32]) {
        match (piece.len(), ids.len()) {
            (..=8, ..=2) => self.short.insert(piece, ids),
            (..=16, ..=4) => self.medium.insert(piece, ids),
            (9..=32, ..=8) => self.long.insert(piece, ids),
            _ => {}
        }
    }
}

/// The tables of a tokenizer, and the copies that no encoder uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    seeded: OnceLock<Tables>,
    spare: Mutex<Vec<Tables>>,
    /// How many bytes encoders came for without finding a spare copy.
    n_bytes_wanted: AtomicUsize,
}

/// A text of fewer bytes is done before a copy would be of use.
const BORROW_FROM_BYTES: usize = 512;
/// Making a copy costs as much as encoding about so many bytes.
const COPY_FROM_BYTES: usize = 256 << 10;
/// Copies beyond these are given back to the system; at most so many threads gain by them.
const MOST_SPARE: usize = 16;

impl Memory {
    /// The tables filled from `vocab`, which is always the same.
    #[inline]
    pub(super) fn seeded(&self, vocab: &Vocab) -> &Tables {
        if let Some(tables) = self.seeded.get() {
            return tables;
        }
        // Filled before the cell is entered: a child forked while a thread is in it would wait for ever.
        let tables = Tables::seeded(vocab);
        self.seeded.get_or_init(|| tables)
    }

    /// A copy to write to, if that is worth while for `n_bytes` of text.
    pub(super) fn own(&self, vocab: &Vocab, n_bytes: usize) -> Option<Tables> {
        if n_bytes < BORROW_FROM_BYTES {
            return None;
        }
        // Never waits: in a forked child the lock may be held by a thread that is not there.
        if let Some(tables) = self.spare.try_lock().ok().and_then(|mut spare| spare.pop()) {
            return Some(tables);
        }
        let wanted = self.n_bytes_wanted.fetch_add(n_bytes, Ordering::Relaxed).saturating_add(n_bytes);
        if wanted < COPY_FROM_BYTES {
            return None;
        }
        Some(self.seeded(vocab).clone())
    }

    /// Takes a copy back, with what it has learnt.
    pub(super) fn give_back(&self, tables: Tables) {
        if let Ok(mut spare) = self.spare.try_lock()
            && spare.len() < MOST_SPARE
        {
            spare.push(tables);
        }
    }
}
