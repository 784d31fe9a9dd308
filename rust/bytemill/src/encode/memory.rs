//! Known pretokens and pieces with their ids, in tables of fixed size.
//!
//! A tokenizer has one set of small tables, filled from the vocabulary and never written again. An encoder that
//! sees many strings that are not in them makes larger tables of its own. It stores its merge results there, and
//! a later encoder reuses the tables. Threads therefore share no written data, and a tokenizer that is rarely used
//! does not pay for large tables.

use super::overflow::Overflow;
use super::table::{Found, Lookup, Table};
use crate::vocab::Vocab;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// The tables: 0.5 to 4 MiB by the size of the vocabulary, four times as much where text is kept, and 2 MiB for what
/// is longer or has many ids.
#[derive(Debug)]
pub(super) struct Tables {
    /// Nearly everything is here.
    pub(super) short: Short,
    /// The ids of short strings that have more than the table has room for.
    overflow: Overflow,
    long: Long,
}

pub(super) type Short = Table<2, 2>;
type Long = Table<8, 16>;

const SEED_BUCKETS: RangeInclusive<usize> = 1 << 13..=1 << 16;
/// Text brings more words than a vocabulary has, and only a table half empty seldom has to push one out.
const ROOM_FOR_TEXT: usize = 4;
const LONG_BUCKETS: usize = 1 << 12;
/// Tokens with higher ids are rare: they are added when they occur.
const MOST_SEEDS: usize = 1 << 16;
/// Entries prefetched before the first is written.
const SEEDS_AT_A_TIME: usize = 64;

/// The maximum number of ids that a table lookup returns.
pub(super) const MOST_IDS: usize = Long::MOST_IDS;

impl Tables {
    /// Return tables that hold the vocabulary's tokens, with `times` the buckets that they need.
    fn seeded(vocab: &Vocab, times: usize) -> Self {
        let n_buckets = vocab.n_vocab().next_power_of_two().clamp(*SEED_BUCKETS.start(), *SEED_BUCKETS.end());
        let mut tables =
            Self { short: Short::new(n_buckets * times), overflow: Overflow::new(), long: Long::new(LONG_BUCKETS) };
        let (text, spans) = vocab.ordinary_text();
        let seeds = spans.take(MOST_SEEDS).filter(|(id, _)| vocab.encodes_to_itself(*id));
        let mut seeds = seeds.map(|(id, span)| (id, Lookup::new(text, span.start, span.end))).peekable();
        while seeds.peek().is_some() {
            let group: Vec<_> = seeds.by_ref().take(SEEDS_AT_A_TIME).collect();
            for (_, lookup) in &group {
                tables.short.prefetch(lookup);
            }
            for (id, lookup) in group {
                let span = lookup.span();
                match span.len() {
                    ..=Short::MOST_BYTES => tables.short.insert_if_free(&lookup, &[id]),
                    _ => tables.long.insert_if_free(&Lookup::new(text, span.start, span.end), &[id]),
                }
            }
        }
        tables
    }

    /// Append the ids of `lookup`, a span of `text`, if a table has them. Return whether one has.
    pub(super) fn recall(&self, text: &[u8], lookup: &Lookup<2>, out: &mut Vec<u32>) -> bool {
        let span = lookup.span();
        let found = if span.len() <= Short::MOST_BYTES {
            self.short.recall(lookup, out)
        } else {
            self.long.recall(&Lookup::new(text, span.start, span.end), out)
        };
        match found {
            Found::Nothing => false,
            Found::Ids => true,
            Found::Elsewhere(number) => self.overflow.recall(number, lookup.key(), span.len(), out),
        }
    }

    /// Like [`Tables::recall`], and move a repeated entry to its home bucket, where it is found faster.
    pub(super) fn recall_and_promote(&mut self, text: &[u8], lookup: &Lookup<2>, out: &mut Vec<u32>) -> bool {
        if lookup.span().len() <= Short::MOST_BYTES {
            self.short.promote(lookup);
        }
        self.recall(text, lookup, out)
    }

    /// Store the ids of `lookup`, a span of `text`, if a table has room for this number of bytes and ids.
    pub(super) fn keep(&mut self, text: &[u8], lookup: &Lookup<2>, ids: &[u32]) {
        let span = lookup.span();
        match (span.len(), ids.len()) {
            (..=Short::MOST_BYTES, ..=Short::MOST_IDS) => self.short.insert(lookup, ids),
            (..=Short::MOST_BYTES, _) => {
                self.short.refer(lookup, self.overflow.keep(lookup.key(), span.len(), ids));
            }
            _ => self.long.insert(&Lookup::new(text, span.start, span.end), ids),
        }
    }
}

/// The tables of a tokenizer, and the large ones that no encoder uses at the moment.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    seeded: OnceLock<Tables>,
    spare: Mutex<Vec<Tables>>,
    /// Number of pieces that encoders merged without tables to store them.
    n_forgotten: AtomicUsize,
}

/// Making large tables costs about as much as merging this number of pieces.
const LARGE_FROM_PIECES: usize = 4096;
/// Maximum number of spare tables; more are freed. At most this number of threads benefits from them.
const MOST_SPARE: usize = 16;

impl Memory {
    /// The tables filled from `vocab`, which is always the same.
    #[inline]
    pub(super) fn seeded(&self, vocab: &Vocab) -> &Tables {
        if let Some(tables) = self.seeded.get() {
            return tables;
        }
        // Filled before the cell is entered: a child forked while a thread is inside the cell would wait forever.
        let tables = Tables::seeded(vocab, 1);
        self.seeded.get_or_init(|| tables)
    }

    /// Return writable tables if spare ones exist, or if enough pieces were merged to justify new ones.
    ///
    /// Call this only if a piece is not in a table: most short texts do not need writable tables.
    pub(super) fn own(&self, vocab: &Vocab) -> Option<Tables> {
        if let Some(tables) = self.spare() {
            return Some(tables);
        }
        let before = self.n_forgotten.fetch_add(1, Ordering::Relaxed);
        (before >= LARGE_FROM_PIECES).then(|| Tables::seeded(vocab, ROOM_FOR_TEXT))
    }

    /// Tables to write to for a text that is long enough to be worth them.
    pub(super) fn for_long_text(&self, vocab: &Vocab) -> Tables {
        self.spare().unwrap_or_else(|| Tables::seeded(vocab, ROOM_FOR_TEXT))
    }

    fn spare(&self) -> Option<Tables> {
        // Never waits: in a forked child the lock may be held by a thread that is not there.
        self.spare.try_lock().ok()?.pop()
    }

    /// Take tables back, with the entries that were added.
    pub(super) fn give_back(&self, tables: Tables) {
        if let Ok(mut spare) = self.spare.try_lock()
            && spare.len() < MOST_SPARE
        {
            spare.push(tables);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::encoder::{Encoder, LONG_TEXT_BYTES, Parts};
    use super::*;
    use crate::split::Splitter;

    /// 256 bytes and 200 pairs of letters.
    fn vocab() -> Vocab {
        let merges: Vec<_> = (0..200).map(|i| (97 + i % 20, 97 + i / 20)).collect();
        Vocab::from_merges(&merges, &[]).unwrap()
    }

    #[test]
    fn tables_know_the_vocabulary() {
        let vocab = vocab();
        let tables = Tables::seeded(&vocab, 1);
        for (id, bytes) in vocab.ordinary_tokens().filter(|(_, bytes)| bytes != &[0]) {
            let mut ids = Vec::new();
            assert!(tables.recall(bytes, &Lookup::new(bytes, 0, bytes.len()), &mut ids));
            assert_eq!(ids, [id]);
        }
    }

    #[test]
    fn a_long_text_has_tables_of_its_own_at_once() {
        let (vocab, splitter) = (vocab(), Splitter::new(Some("gpt2")).unwrap());
        let parts = |memory| Parts { vocab: &vocab, splitter: &splitter, memory };
        let (long, short) = (Memory::default(), Memory::default());
        let (mut at_once, mut twice) = (Vec::new(), Vec::new());
        let text = " abbc".repeat(LONG_TEXT_BYTES / 5 + 1);
        Encoder::new(parts(&long)).text(&text, &mut at_once).unwrap();
        for _ in 0..2 {
            Encoder::new(parts(&short)).text(" abbc", &mut twice).unwrap();
        }
        assert!(long.spare().is_some() && short.spare().is_none());
        assert_eq!(at_once[..twice.len()], twice);
        assert_eq!(at_once.len(), twice.len() / 2 * (LONG_TEXT_BYTES / 5 + 1));
    }
}
