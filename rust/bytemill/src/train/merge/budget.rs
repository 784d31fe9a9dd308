//! Memory for merging: how much for watched pairs, and how much for counting pairs.
//!
//! The arena must always fit. The memory left next to it limits the number of pairs watched and counted at the same
//! time. A smaller limit only costs time; the merges stay the same.

use super::arena::{BATCH_PAIRS, RUN_BYTES, TokenSlot, n_slots};
use super::hot_pairs::Size;
use super::neighbours::Neighbours;
use super::pair_table::PairTable;
use crate::error::{Error, Result};
use crate::train::count::WordCounts;
use crate::train::options::{Merge, Options, Ties};

/// Minimum memory in addition to the arena; with less, most of the time would go into scanning.
const LEAST_BYTES: usize = 4 << 20;

/// Return the maximum number of ids, after `n_base` merges of the base: each new id needs its own place in the arena.
pub(super) fn n_ids(counts: &WordCounts, n_base: usize, options: &Options) -> usize {
    256 + n_base + options.n_merges.saturating_sub(n_base).min(n_slots(counts))
}

/// Limits in bytes of memory, or in pairs.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Budget {
    /// Memory for the pairs watched after a scan; at least one pair is always watched.
    pub(in crate::train) watched_bytes: usize,
    /// Memory for all watched pairs, including those made since the last scan; beyond it, the arena is scanned again.
    pub(in crate::train) most_watched_bytes: usize,
    /// Maximum number of pairs that a scan counts at the same time, without one batch.
    pub(in crate::train) counted_pairs: usize,
    /// Memory for sorting words from disk.
    pub(in crate::train) sort_bytes: usize,
}

impl Budget {
    /// Return the budget for merging `counts` after `n_base` merges with `options`. Return an error if the arena does
    /// not fit.
    pub(in crate::train) fn new(counts: &WordCounts, n_base: usize, options: &Options) -> Result<Self> {
        let Some(limit) = options.max_memory else { return Ok(Self::unlimited(counts)) };
        let ids = n_ids(counts, n_base, options);
        let arena = n_slots(counts) * if ids <= u16::MOST_IDS { size_of::<u16>() } else { size_of::<u32>() };
        let runs = if options.ties == Ties::FirstSeen { counts.len() * RUN_BYTES } else { 0 };
        let fixed = arena + arena / 32 + runs + counts.memory() + ids * (2 * Neighbours::ID_BYTES + size_of::<Merge>());
        // The most frequent pair is always watched, with its places and those of its neighbours. These take at most as
        // much memory as the arena.
        let least = 2 * fixed + LEAST_BYTES;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Some(spare) = limit.checked_sub(fixed).filter(|_| limit >= least) else {
            return Err(Error::Argument {
                name: "max_memory",
                got: limit.to_string(),
                expected: format!(
                    "at least {least} for {} distinct pretokens of {} bytes in total",
                    counts.len(),
                    counts.n_bytes()
                ),
            });
        };
        Ok(Self {
            watched_bytes: spare / 6,
            most_watched_bytes: spare / 3,
            counted_pairs: PairTable::<Size>::most_pairs(spare / 4 * 3).saturating_sub(BATCH_PAIRS),
            sort_bytes: spare / 2,
        })
    }

    /// Use as much memory for watched pairs as for an arena of 16-bit slots. This leads to about four scans and stores
    /// few places that are never merged.
    fn unlimited(counts: &WordCounts) -> Self {
        Self {
            watched_bytes: (n_slots(counts) * size_of::<u16>()).max(8 << 20),
            most_watched_bytes: usize::MAX,
            counted_pairs: usize::MAX,
            sort_bytes: 64 << 20,
        }
    }
}
