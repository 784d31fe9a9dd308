//! What an encoder remembers: short pretokens and pieces with their ids, in tables of fixed size.
//!
//! A tokenizer has one set of tables, filled from the vocabulary and never written again. An encoder
//! that meets what is not in them takes a copy for itself, in which it also keeps what it had to merge,
//! and leaves it to the next; so threads share nothing that is written, and what is seldom used never
//! pays for a copy.

use super::table::{Table, Wanted};
use crate::vocab::Vocab;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The tables: 2 to 16 MiB by the size of the vocabulary, and 3 MiB for what is longer.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    /// Nearly everything is here.
    pub(super) short: Short,
    /// Longer strings, and those of more ids, such as indentation in GPT-2's vocabulary.
    long: Long,
    /// Which short strings may be in `long`: a bit for each home, so that hardly a new word is looked for there.
    moved: Vec<u64>,
}

pub(super) type Short = Table<2, 2>;
type Long = Table<8, 16>;

/// Text brings as many words again, and only a table half empty seldom has to push one out.
const BUCKETS_PER_ID: usize = 4;
const SHORT_BUCKETS: std::ops::RangeInclusive<usize> = 1 << 15..=1 << 18;
const LONG_BUCKETS: usize = 1 << 13;
const MOVED_BITS: u32 = 1 << 16;
/// Tokens of higher ids are rare: they are remembered when they are met.
const MOST_SEEDS: usize = 1 << 16;

/// The most ids that a look into one of the tables gives.
pub(super) const MOST_IDS: usize = Long::MOST_IDS;

impl Tables {
    fn seeded(vocab: &Vocab) -> Self {
        let wanted = (vocab.n_vocab() * BUCKETS_PER_ID).next_power_of_two();
        let mut tables = Self {
            short: Short::new(wanted.clamp(*SHORT_BUCKETS.start(), *SHORT_BUCKETS.end())),
            long: Long::new(LONG_BUCKETS),
            moved: vec![0; MOVED_BITS as usize / 64],
        };
        let seeds = vocab.ordinary_tokens().take(MOST_SEEDS);
        for (id, bytes) in seeds.filter(|(id, _)| vocab.encodes_to_itself(*id)) {
            match bytes.len() {
                ..=Short::MOST_BYTES => tables.short.insert_if_free(bytes, &[id]),
                _ => tables.long.insert_if_free(bytes, &[id]),
            }
        }
        tables
    }

    /// Appends the ids of `text[span]`, if they are remembered anywhere.
    pub(super) fn recall(&self, text: &[u8], span: Range<usize>, out: &mut Vec<u32>) -> bool {
        let Range { start, end } = span;
        if span.len() <= Short::MOST_BYTES {
            let wanted = self.short.wanted(text, start, end);
            if self.short.recall(&wanted, out) {
                return true;
            }
            let (word, bit) = moved_bit(&wanted);
            if self.moved[word] & bit == 0 {
                return false;
            }
        }
        span.len() <= Long::MOST_BYTES && self.long.recall(&self.long.wanted(text, start, end), out)
    }

    /// As [`Tables::recall`], and what is met again becomes quicker to find.
    pub(super) fn recall_and_promote(&mut self, text: &[u8], span: Range<usize>, out: &mut Vec<u32>) -> bool {
        if span.len() <= Short::MOST_BYTES {
            let wanted = self.short.wanted(text, span.start, span.end);
            self.short.promote(&wanted);
        }
        self.recall(text, span, out)
    }

    /// Remembers the ids of `piece`, if there is a table for so many bytes and ids.
    pub(super) fn keep(&mut self, piece: &[u8], ids: &[u32]) {
        match (piece.len(), ids.len()) {
            (..=Short::MOST_BYTES, ..=Short::MOST_IDS) => return self.short.insert(piece, ids),
            (..=Short::MOST_BYTES, _) => {
                let (word, bit) = moved_bit(&self.short.wanted(piece, 0, piece.len()));
                self.moved[word] |= bit;
            }
            _ => {}
        }
        self.long.insert(piece, ids);
    }
}

/// Where in `Tables::moved` the bit of a short string is: its word and its mask.
fn moved_bit(wanted: &Wanted<2>) -> (usize, u64) {
    let place = wanted.home() % MOVED_BITS;
    (place as usize / 64, 1 << (place % 64))
}

/// The tables of a tokenizer, and the copies that no encoder uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    seeded: OnceLock<Tables>,
    spare: Mutex<Vec<Tables>>,
    /// How many pieces encoders merged without a copy in which to keep them.
    n_forgotten: AtomicUsize,
}

/// Making a copy costs as much as merging about so many pieces.
const COPY_FROM_PIECES: usize = 4096;
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

    /// A copy to write to, if there is one or so many pieces were merged that one is worth while.
    ///
    /// To be asked for when a piece is not remembered: most short texts need none.
    pub(super) fn own(&self, vocab: &Vocab) -> Option<Tables> {
        // Never waits: in a forked child the lock may be held by a thread that is not there.
        if let Some(tables) = self.spare.try_lock().ok().and_then(|mut spare| spare.pop()) {
            return Some(tables);
        }
        let before = self.n_forgotten.fetch_add(1, Ordering::Relaxed);
        (before >= COPY_FROM_PIECES).then(|| self.seeded(vocab).clone())
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
